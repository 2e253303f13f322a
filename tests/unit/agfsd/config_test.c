/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "args.h"
#include "base/alloc.h"
#include "config.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct config config;
static struct pfs_error err;

/* Reads the text as a configuration file. */
static enum pfs_class read_text(const char *text)
{
    char name[] = "/tmp/config_test.XXXXXX";
    int fd = mkstemp(name);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    config_init(&config);
    enum pfs_class cls = config_read(&config, name, &err);

    unlink(name);
    return cls;
}

static void fails(const char *text, const char *words)
{
    cr_assert_eq(read_text(text), PFS_CONFIG, "%s", text);
    cr_assert_not_null(strstr(err.text, words), "%s", err.text);
    config_fini(&config);
}

Test(config, the_stock_servers_file)
{
    const char *text = "server:\n"
                       "  address: \":9090\"\n"
                       "  log_level: debug\n"
                       "  max_request_body_bytes: 1000\n"
                       "  future: 1\n"
                       "external_plugins:\n"
                       "  enabled: true\n"
                       "  plugin_dir: ./plugins\n"
                       "  auto_load: true\n"
                       "  plugin_paths:\n"
                       "    - /a.so\n"
                       "    - /b.so\n"
                       "plugins:\n"
                       "  memfs:\n"
                       "    enabled: true\n"
                       "    path: memfs/\n"
                       "    config:\n"
                       "      init_dirs: [a, b]\n"
                       "  queuefs:\n"
                       "    - name: one\n"
                       "      enabled: true\n"
                       "      path: /q1\n"
                       "    - name: two\n"
                       "      enabled: false\n"
                       "      path: /q2\n"
                       "  empty:\n"
                       "other: x\n";

    cr_assert_eq(read_text(text), PFS_OK, "%s", err.text);
    cr_assert_str_eq(config.address, ":9090");
    cr_assert_str_eq(config.log_level, "debug");
    cr_assert_eq(config.max_body, 1000);
    cr_assert(config.admin);
    cr_assert(config.auto_load);
    cr_assert_eq(config.plugin_paths.n, 2);
    cr_assert_eq(config.n_mounts, 2);
    cr_assert_str_eq(config.mounts[0].path, "/memfs");
    cr_assert_str_eq(config.mounts[0].instance, "memfs");
    cr_assert_str_eq(config.mounts[0].config, "{\"init_dirs\":[\"a\",\"b\"]}");
    cr_assert_str_eq(config.mounts[1].instance, "one");
    cr_assert_str_eq(config.mounts[1].type, "queuefs");
    cr_assert_null(config.mounts[1].config);
    config_fini(&config);
}

Test(config, values_are_typed_as_yaml_v3_does)
{
    const char *text =
        "plugins:\n"
        "  x:\n"
        "    enabled: true\n"
        "    path: /x\n"
        "    config: {a: yes, b: true, c: 0x10, d: 010, e: 0o10, f: 1_000, g: \"5\",\n"
        "      h: 1.2.3, i: ~, j: 2024-01-02, k: 1.50, l: 1e3, m: -5,\n"
        "      n: 18446744073709551615, o: {p: [1]}, q: '', r: 1.0.0-e, s: abc}\n";

    cr_assert_eq(read_text(text), PFS_OK, "%s", err.text);
    cr_assert_str_eq(
        config.mounts[0].config,
        "{\"a\":\"yes\",\"b\":true,\"c\":16,\"d\":8,\"e\":8,\"f\":1000,\"g\":\"5\","
        "\"h\":\"1.2.3\",\"i\":null,\"j\":\"2024-01-02T00:00:00Z\",\"k\":1.5,\"l\":1000,"
        "\"m\":-5,\"n\":18446744073709551615,\"o\":{\"p\":[1]},\"q\":\"\","
        "\"r\":\"1.0.0-e\",\"s\":\"abc\"}");
    config_fini(&config);
    fails("plugins: {x: {enabled: true, path: /x, config: {a: .inf}}}", "unsupported value");
    fails("plugins: {x: {enabled: true, path: /x, config: {[1]: 2}}}", "no string");
}

Test(config, tls_and_its_mistakes)
{
    cr_assert_eq(read_text("server:\n  admin: false\n  loops: 3\n"
                           "  tls: {address: \":8443\", cert: c, key: k, client_ca: a, crl: r,"
                           " client_cert: optional}\n"),
                 PFS_OK, "%s", err.text);
    cr_assert_not(config.admin);
    cr_assert_eq(config.loops, 3);
    cr_assert_str_eq(config.tls_address, ":8443");
    cr_assert_eq(config.client_cert, TLS_CLIENT_CERT_OPTIONAL);
    cr_assert_eq(config_check(&config, &err), PFS_OK);
    config_set(&config.key, NULL);
    cr_assert_eq(config_check(&config, &err), PFS_CONFIG);
    config_fini(&config);
    fails("server:\n  tls:\n    adress: x\n", "line 3: tls.adress: unknown key");
    fails("server:\n  tls:\n    client_cert: maybe\n", "none, optional or required");
    fails("server:\n  admin: perhaps\n", "line 2: admin: must be true or false");
    fails("server: [1]\n", "must be a mapping");
    fails("server: {\n", "line 2");
    fails("plugins: {memfs: {enabled: true}}", "path is required");
    fails("plugins: {memfs: {enabled: true, path: /a}, x: {enabled: true, path: /a/}}",
          "two mounts at /a");
    config_init(&config);
    cr_assert_eq(config_read(&config, "/no/such/file", &err), PFS_CONFIG);
    config_fini(&config);
}

Test(config, D01_a_list_of_who_may_is_never_empty)
{
    fails("server:\n  tls: {clients: []}\n", "line 2: clients: is empty: name who may");
    fails("server:\n  tls:\n    clients:\n", "line 3: clients: is empty");
    fails("server:\n  admin_clients: []\n", "line 2: admin_clients: is empty");
    cr_assert_eq(read_text("server:\n  tls: {address: \":1\"}\n"), PFS_OK);
    char *text = config_to_text(&config);

    config_fini(&config);
    cr_assert_eq(read_text(text), PFS_OK, "what is printed is read again: %s", err.text);
    pfs_free(text);
    config_fini(&config);
}

Test(config, limits_are_printed_with_their_units)
{
    cr_assert_eq(read_text("server: {limits: {connections: 7, body_memory: 2MiB, "
                           "certificate_poll: 3s}}\n"),
                 PFS_OK, "%s", err.text);
    char *text = config_to_text(&config);
    struct server_limits before = config.limits;

    config_fini(&config);
    cr_assert_not_null(strstr(text, "\"connections\":\"7\""), "%s", text);
    cr_assert_not_null(strstr(text, "\"body_memory\":\"2097152\""), "%s", text);
    cr_assert_not_null(strstr(text, "\"certificate_poll\":\"3000ms\""), "%s", text);
    cr_assert_eq(read_text(text), PFS_OK, "%s", err.text);
    cr_assert_eq(config.limits.max_conns, 7);
    cr_assert_eq(config.limits.body_memory, before.body_memory);
    cr_assert_eq(config.limits.cert_poll_ms, 3000);
    pfs_free(text);
    config_fini(&config);
}

Test(config, secrets_are_not_printed)
{
    cr_assert_eq(
        read_text("plugins:\n  proxyfs: {enabled: true, path: /r, config: {\n"
                  "    base_url: \"http://u:s3c/ret@h.test/api/v1?t=s3cret\", timeout: 5,\n"
                  "    token: s3cret, token_file: /etc/t, client_key: k.pem}}\n"
                  "  sqlfs: {enabled: true, path: /s, config: {Api-Key: [s3cret], dsn: s3cret,\n"
                  "    max_tokens: 7, nested: [{password: s3cret, base_url: u:s3c@h, on: true, no: "
                  "~}]}}\n"),
        PFS_OK, "%s", err.text);
    char *text = config_to_text(&config);

    cr_assert_null(strstr(text, "s3c"), "%s", text);
    cr_assert_not_null(strstr(text, "{\"base_url\":\"http://***@h.test/api/v1?***\",\"timeout\":5,"
                                    "\"token\":\"***\",\"token_file\":\"/etc/t\","
                                    "\"client_key\":\"k.pem\"}"),
                       "%s", text);
    cr_assert_not_null(
        strstr(text, "{\"Api-Key\":\"***\",\"dsn\":\"***\",\"max_tokens\":7,"
                     "\"nested\":[{\"password\":\"***\",\"base_url\":\"***@h\",\"on\":true,"
                     "\"no\":null}]}"),
        "%s", text);
    pfs_free(text);
    config_fini(&config);
}

/* A small file must not become a huge tree. */
Test(config, limits_and_their_mistakes)
{
    static const struct {
        const char *name, *value;
        bool good;
    } rows[] = {
        {"connections", "7", true},
        {"connections", "0", false},
        {"connections", "-1", false},
        {"connections", "", false},
        {"connections", "many", false},
        {"body_memory", "64MiB", true},
        {"body_memory", "1K", false},
        {"body_memory", "99999999999999999999", false},
        {"header_timeout", "1500ms", true},
        {"header_timeout", "2m", true},
        {"header_timeout", "3", true},
        {"header_timeout", "3 s", false},
        {"header_timeout", "2d", false},
        {"header_timeout", "9999999999999999h", false},
        {"connection_age", "24h", true},
        {"nothing", "1", false},
        {"spin_us", "0", true},
        {"spin_us", "1001", false},
    };
    struct server_limits l = SERVER_LIMITS_INIT;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum pfs_class cls = limits_set(&l, rows[i].name, rows[i].value, &err);

        cr_expect_eq(cls, rows[i].good ? PFS_OK : PFS_CONFIG, "%s: %s", rows[i].name,
                     rows[i].value);
        if (!rows[i].good) {
            cr_expect_not_null(strstr(err.text, rows[i].name), "%s", err.text);
        }
    }
    cr_expect_eq(l.spin_us, 0);
    cr_expect_eq(l.max_conns, 7);
    cr_expect_eq(l.body_memory, 64u << 20);
    cr_expect_eq(l.header_ms, 3000);
    cr_expect_eq(l.max_age_ms, 24 * 3600 * 1000);
}

Test(config, aliases_are_bounded)
{
    char text[2000] = "plugins: {x: {enabled: true, path: /x, config: {a0: &a0 [1,1,1,1,1,1,1,1,1]";

    for (int i = 1; i < 9; i++) {
        char row[100];

        snprintf(row, sizeof row, ", a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]", i, i, i - 1,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        strcat(text, row);
    }
    strcat(text, "}}}");
    fails(text, "too much");
}

static int read_args(struct args *a, const char *const *words)
{
    char *argv[16] = {(char[]){"agfsd"}};
    int argc = 1;

    for (; words[argc - 1]; argc++) {
        argv[argc] = strdup(words[argc - 1]);
    }
    int rc = args_read(a, argc, argv);

    for (int i = 1; i < argc; i++) {
        free(argv[i]);
    }
    return rc;
}

Test(config, the_command_line)
{
    struct args a;
    const char *const good[] = {"-addr",      ":0",        "--mount",
                                "memfs:/m",   "--mount",   "p:/r:base_url=http://h:1,x=\"",
                                "--no-admin", "--loops=2", NULL};

    cr_assert_eq(read_args(&a, good), -1);
    cr_assert_str_eq(a.config.address, ":0");
    cr_assert_eq(a.config.n_mounts, 2);
    cr_assert_str_eq(a.config.mounts[1].config, "{\"base_url\":\"http://h:1\",\"x\":\"\\\"\"}");
    cr_assert_not(a.config.admin);
    cr_assert_eq(a.config.loops, 2);
    config_fini(&a.config);
    const char *const bad[][3] = {{"--nope"},
                                  {"-addr"},
                                  {"-addr", "x"},
                                  {"--mount", "x"},
                                  {"--mount", "m:/a:b"},
                                  {"--loops", "x"},
                                  {"--tls-cert", "f"},
                                  {"--client-cert", "x"},
                                  {"stray"}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(read_args(&a, bad[i]), 2, "%s", bad[i][0]);
        config_fini(&a.config);
    }
    const char *const none[] = {NULL};

    cr_assert_eq(read_args(&a, none), -1);
    cr_assert_str_eq(a.config.address, "127.0.0.1:8080");
    config_fini(&a.config);
}

Test(config, addresses)
{
    char host[256];
    unsigned port;

    cr_assert(args_split_address("[::1]:80", host, &port));
    cr_assert_str_eq(host, "::1");
    cr_assert_eq(port, 80);
    cr_assert(args_split_address(":0", host, &port));
    cr_assert_str_eq(host, "");
    cr_assert_not(args_split_address("::1:80", host, &port));
    cr_assert_not(args_split_address("h", host, &port));
    cr_assert_not(args_split_address("h:65536", host, &port));
}
