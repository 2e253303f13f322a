/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Options and base_url, good and bad beside each other: rows A126 and A127 of the fault table. */
#include "base/alloc.h"
#include "base/clock.h"
#include "fs/options.h"
#include <criterion/criterion.h>
#include <proxyfs/proxyfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define URL "https://h.test:8443/api/v1"

static enum pfs_class parse(const char *key, const char *value, struct options *o,
                            struct pfs_error *err)
{
    struct pfs_option list[] = {{"base_url", URL}, {key, value}};

    return client_options_parse(list, key ? 2 : 1, o, err);
}

Test(options, defaults)
{
    struct options o;
    struct pfs_error err;

    cr_assert_eq(parse(NULL, NULL, &o, &err), PFS_OK, "%s", err.text);
    cr_assert(o.timeout_ns == 30 * PFS_SEC && o.connect_timeout_ns == 5 * PFS_SEC &&
              o.keepalive_interval_ns == 10 * PFS_SEC && o.keepalive_timeout_ns == 5 * PFS_SEC);
    cr_assert(o.max_connections == 0 && o.max_streams == 100 && o.workers == 64 &&
              o.queue_depth == 1024 && o.retries == 3);
    cr_assert(!o.insecure_skip_verify && !o.retry_writes && !o.read_only && !o.lazy);
    cr_assert_str_eq(o.remote_path, "/");
    cr_assert_eq(o.protocol, PROTOCOL_AUTO);
    client_options_fini(&o);
}

Test(options, A126_values_good_and_bad)
{
    static const struct {
        const char *key, *good, *bad;
    } rows[] = {
        {"protocol", "h2", "h3"},
        {"protocol", "h1", "H2"},
        {"timeout", "250ms", "250 ms"},
        {"timeout", "5", "0"},
        {"timeout", "2m", "-1"},
        {"timeout", "1h", "61m"},
        {"timeout", "1s", "1e3"},
        {"timeout", "1s", ""},
        {"timeout", "1s", "99999999999999999999"},
        {"timeout", "1s", "1x"},
        {"connect_timeout", "1ms", "500us"},
        {"keepalive_interval", "1s", "999ms"},
        {"keepalive_timeout", "100ms", "10ms"},
        {"max_connections", "0", "-1"},
        {"max_connections", "64", "65"},
        {"max_streams", "1000", "1001"},
        {"max_streams", "1", "+1"},
        {"transfer_streams", "0", "17"},
        {"workers", "1", "0x10"},
        {"queue_depth", "0", "-5"},
        {"retries", "1", "1.5"},
        {"read_only", "true", "maybe"},
        {"read_only", "0", "2"},
        {"retry_writes", "Yes", "y"},
        {"lazy", "off", "nope"},
        {"remote_path", "/a/../b", "a"},
        {"remote_path", "/", "/\xff"},
        {"server_name", "x.test", ""},
    };
    struct options o;
    struct pfs_error err;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_assert_eq(parse(rows[i].key, rows[i].good, &o, &err), PFS_OK, "%s=%s: %s", rows[i].key,
                     rows[i].good, err.text);
        client_options_fini(&o);
        cr_assert_eq(parse(rows[i].key, rows[i].bad, &o, &err), PFS_CONFIG, "%s=%s", rows[i].key,
                     rows[i].bad);
        cr_assert_not_null(strstr(err.text, rows[i].key), "'%s' does not name %s", err.text,
                           rows[i].key);
        cr_assert_eq(err.outcome, PFS_OUTCOME_NA);
    }
}

Test(options, A126_A127_unknown_twice_and_contradictory)
{
    static const struct {
        struct pfs_option list[4];
        const char *word; /* NULL: good */
    } rows[] = {
        {{{"base_url", URL}, {"client_cert", "c"}, {"client_key", "k"}}, NULL},
        {{{"base_url", URL}, {"client_cert", "c"}}, "client_key"},
        {{{"base_url", URL}, {"client_key", "c"}}, "client_cert"},
        {{{"base_url", URL}, {"insecure_skip_verify", "true"}}, NULL},
        {{{"base_url", URL},
          {"insecure_skip_verify", "true"},
          {"client_cert", "c"},
          {"client_key", "k"}},
         "insecure_skip_verify"},
        {{{"base_url", URL}, {"insecure_skip_verify", "true"}, {"ca_file", "x"}}, "ca_file"},
        {{{"base_url", URL}, {"insecure_skip_verify", "true"}, {"crl_file", "x"}}, "crl_file"},
        {{{"base_url", URL}, {"insecure_skip_verify", "true"}, {"server_name", "x"}},
         "server_name"},
        {{{"base_url", URL}, {"insecure_skip_verify", "false"}, {"ca_file", "x"}}, NULL},
        {{{"base_url", "http://u:p@h.test"}, {"token_file", "t"}}, "token_file"},
        {{{"base_url", URL}, {"colour", "red"}}, "colour"},
        {{{"base_url", URL}, {"Timeout", "1s"}}, "Timeout"},
        {{{"base_url", URL}, {"timeout", "1s"}, {"timeout", "1s"}}, "timeout"},
        {{{"base_url", URL}, {"mount_path", "/x"}}, NULL},
        {{{"base_url", "http://h.test"}, {"ca_file", "x"}}, "https"},
        {{{"base_url", "http://h.test"}, {"min_tls", "1.3"}}, "https"},
        {{{"base_url", "http://h.test"}, {"client_cert", "c"}, {"client_key", "k"}}, "https"},
        {{{"timeout", "1s"}}, "base_url"},
        {{{"base_url", ""}}, "base_url"},
        {{{"base_url", NULL}}, "base_url"},
    };
    struct options o;
    struct pfs_error err;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = 0;

        while (n < 4 && rows[i].list[n].key) {
            n++;
        }
        enum pfs_class cls = client_options_parse(rows[i].list, n, &o, &err);
        cr_assert_eq(cls, rows[i].word ? PFS_CONFIG : PFS_OK, "row %zu: %s", i, err.text);
        if (rows[i].word) {
            cr_assert_not_null(strstr(err.text, rows[i].word), "row %zu: %s", i, err.text);
        }
        client_options_fini(&o);
    }
}

Test(options, A126_urls)
{
    static const struct {
        const char *url, *host, *authority, *base_path;
        bool tls;
        unsigned port;
    } good[] = {
        {"https://h.test:8443/api/v1", "h.test", "h.test:8443", "/api/v1", true, 8443},
        {"http://h.test", "h.test", "h.test:80", "/api/v1", false, 80},
        {"HTTPS://h.test/", "h.test", "h.test:443", "/api/v1", true, 443},
        {"http://127.0.0.1:8080/api/v1/", "127.0.0.1", "127.0.0.1:8080", "/api/v1", false, 8080},
        {"http://[::1]:80/api/v1", "::1", "[::1]:80", "/api/v1", false, 80},
        {"http://[::1]", "::1", "[::1]:80", "/api/v1", false, 80},
        {"http://h.test/prefix/api/v1", "h.test", "h.test:80", "/prefix/api/v1", false, 80},
        {"http://u:p@h.test:1/api/v1", "h.test", "h.test:1", "/api/v1", false, 1},
        {"http://[fe80::1%eth0]:1", "fe80::1%eth0", "[fe80::1%eth0]:1", "/api/v1", false, 1},
        {"http://[::ffff:1.2.3.4]", "::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80", "/api/v1", false, 80},
        {"http://h_1.test/~u/a%20b;x=(1)/api/v1", "h_1.test", "h_1.test:80",
         "/~u/a%20b;x=(1)/api/v1", false, 80},
    };
    static const char *const bad[] = {"h.test",
                                      "ftp://h.test",
                                      "http://",
                                      "http:///api/v1",
                                      "http://:80",
                                      "http://h.test:0",
                                      "http://h.test:65536",
                                      "http://h.test:8x",
                                      "http://h.test:",
                                      "http://[::1",
                                      "http://[::1]x",
                                      "http://h test",
                                      "http://h.test/\r\nx: y",
                                      "http://h\x01.test",
                                      "http://h.test/api/v1?x=1",
                                      "http://h.test/api/v1#f",
                                      "http://h.test/api/v2",
                                      "http://h.test/other",
                                      "http://a/b//api/v1",
                                      "http://h_!.test",
                                      "http://h.test\\@evil/",
                                      "http://[evil.test]:80",
                                      "http://[]",
                                      "http://[::1%]",
                                      "http://[::1%/]",
                                      "http://[1.2.3.4]",
                                      "http://[::1]]",
                                      "http://h%00.test",
                                      "http://h%41.test",
                                      "http://h\xe9.test",
                                      "http://h\xc3\xa9.test",
                                      "http://h.test/\xc3\xa9/api/v1",
                                      "http://h.test/\"/api/v1",
                                      "http://h.test/<a>/api/v1",
                                      "http://h.test/a%/api/v1",
                                      "http://h.test/a%0g/api/v1",
                                      "http://h.test/a%00/api/v1",
                                      "http://user:1/s3cret@h.test/api/v1"};
    struct pfs_error err;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct pfs_option o1 = {"base_url", good[i].url};
        struct options o;

        cr_assert_eq(client_options_parse(&o1, 1, &o, &err), PFS_OK, "%s: %s", good[i].url,
                     err.text);
        cr_assert_str_eq(o.host, good[i].host);
        cr_assert_str_eq(o.authority, good[i].authority);
        cr_assert_str_eq(o.base_path, good[i].base_path);
        cr_assert_eq(o.use_tls, good[i].tls);
        cr_assert_eq(o.port, good[i].port);
        client_options_fini(&o);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pfs_option o1 = {"base_url", bad[i]};
        struct options o;

        cr_assert_eq(client_options_parse(&o1, 1, &o, &err), PFS_CONFIG, "'%s' was taken", bad[i]);
        cr_assert_not_null(strstr(err.text, "base_url"));
        client_options_fini(&o);
    }
}

Test(options, secrets_do_not_show)
{
    static const char *const urls[] = {
        "http://user:s3cret@h.test:99999",        "ftp://user:s3cret@h.test",
        "http://user:s3c@ret@h.test/x",           "https:/user:s3cret@h.test/api/v1",
        "https//user:s3cret@h.test/api/v1",       "user:s3cret@h.test/api/v1",
        "https://user:8080/s3cret@h.test/api/v1", "https://user:s3c/ret@h.test/api/v1",
        "https://user:s3c#ret@h.test/api/v1",     "https://user:s3c?ret@h.test/api/v1",
        "https://user:s3c ret@h.test/api/v1",     "https://user:a/s3c@b/s3c@h.test/api/v1"};
    struct pfs_error err;

    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct pfs_option o1 = {"base_url", urls[i]};
        struct options o;

        cr_assert_eq(client_options_parse(&o1, 1, &o, &err), PFS_CONFIG);
        cr_assert_null(strstr(err.text, "s3c"), "%s", err.text);
        cr_assert_not_null(strstr(err.text, "***@h.test"), "%s", err.text);
    }
}

Test(options, the_range_is_told_as_it_is)
{
    static const struct {
        const char *key, *words;
    } rows[] = {
        {"timeout", "more than 0 s and at most 3600 s"},
        {"connect_timeout", "from 0.001 s to 300 s"},
        {"spin", "from 0 s to 0.001 s"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pfs_error err;
        struct options o;

        cr_assert_eq(parse(rows[i].key, i == 2 ? "1s" : "0", &o, &err), PFS_CONFIG);
        cr_assert_not_null(strstr(err.text, rows[i].words), "%s", err.text);
    }
}

Test(options, a_query_does_not_show)
{
    struct pfs_option o1 = {"base_url", "http://h.test/api/v1?token=s3cret"};
    struct pfs_error err;
    struct options o;

    cr_assert_eq(client_options_parse(&o1, 1, &o, &err), PFS_CONFIG);
    cr_assert_null(strstr(err.text, "s3c"), "%s", err.text);
    cr_assert_not_null(strstr(err.text, "'http://h.test/api/v1?***': it has a query"), "%s",
                       err.text);
}

Test(options, key_tells_connections_apart)
{
    static const struct {
        const char *key, *value;
        bool same; /* as without it */
    } rows[] = {{"timeout", "7s", true},          {"remote_path", "/x", true},
                {"read_only", "true", true},      {"retries", "1", true},
                {"transfer_streams", "8", true},  {"ca_file", "/x", false},
                {"ca_file", "", false},           {"token_file", "", false},
                {"token_file", "/t", false},      {"max_streams", "9", false},
                {"protocol", "h2", false},        {"server_name", "z", false},
                {"connect_timeout", "1s", false}, {"insecure_skip_verify", "true", false}};
    struct options plain, o, copy;
    struct pfs_error err;

    cr_assert_eq(parse(NULL, NULL, &plain, &err), PFS_OK);
    char *key = client_options_key(&plain);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_assert_eq(parse(rows[i].key, rows[i].value, &o, &err), PFS_OK, "%s", err.text);
        char *other = client_options_key(&o);
        cr_assert_eq(strcmp(key, other) == 0, rows[i].same, "%s", rows[i].key);
        cr_assert(client_options_copy(&o, &copy));
        char *third = client_options_key(&copy);
        cr_assert_str_eq(other, third);
        free(other);
        free(third);
        client_options_fini(&o);
        client_options_fini(&copy);
    }
    free(key);
    client_options_fini(&plain);
}

Test(options, A126_an_empty_name_is_refused_beside_a_client_without_one)
{
    struct pfs_option list[] = {{"base_url", "https://127.0.0.1:1/api/v1"}, {"ca_file", ""}};
    struct pfs_client *plain, *c;
    struct pfs_error err;

    cr_assert_eq(pfs_client_new(list, 1, &plain, &err), PFS_OK, "%s", err.text);
    cr_assert_eq(pfs_client_new(list, 2, &c, &err), PFS_CONFIG);
    cr_assert_not_null(strstr(err.text, "ca_file"), "%s", err.text);
    pfs_client_free(plain);
}

Test(options, A126_a_token_file_that_would_keep_waiting_is_refused, .timeout = 20)
{
    char dir[] = "/tmp/pfs-options-XXXXXX", fifo[sizeof dir + 8];
    struct pfs_client *c;
    struct pfs_error err;

    cr_assert_not_null(mkdtemp(dir));
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    const char *const files[] = {fifo, dir, "/dev/null"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct pfs_option list[] = {{"base_url", "http://127.0.0.1:1/api/v1"},
                                    {"token_file", files[i]}};

        cr_assert_eq(pfs_client_new(list, 2, &c, &err), PFS_CONFIG);
        cr_assert_not_null(strstr(err.text, "token_file"), "%s", err.text);
        cr_assert_not_null(strstr(err.text, "not a regular file"), "%s", err.text);
    }
    unlink(fifo);
    rmdir(dir);
}

static char said[1024];

static void keep_line(void *arg, enum pfs_log_level level, const char *line)
{
    strncat(said, line, sizeof said - strlen(said) - 1);
}

Test(options, who_may_read_a_secret_is_told_once)
{
    static const struct {
        const char *url;
        mode_t mode; /* of the token file, 0: none */
        const char *words[2];
    } rows[] = {
        {"http://127.0.0.1:1", 0600, {NULL}},
        {"http://127.0.0.1:1", 0640, {NULL}},
        {"http://localhost:1", 0644, {"mode 644): chmod 600 it"}},
        {"https://h.test:1", 0604, {"mode 604): chmod 600 it"}},
        {"https://u:s3cret@h.test:1", 0, {NULL}},
        {"http://u:s3cret@[::1]:1", 0, {NULL}},
        {"http://h.test:1", 0, {NULL}},
        {"http://u:s3cret@h.test:1", 0, {"http://***@h.test:1", "in clear text"}},
        {"http://128.0.0.1:1", 0600, {"http://128.0.0.1:1", "in clear text"}},
        {"http://localhost.test:1", 0646, {"chmod 600 it", "in clear text"}},
    };
    char token[] = "/tmp/pfs-options-XXXXXX";
    int fd = mkstemp(token);

    cr_assert_eq(write(fd, "s3cret\n", 7), 7);
    pfs_log_to(keep_line, NULL, PFS_LOG_WARN);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pfs_option list[] = {{"base_url", rows[i].url}, {"token_file", token}};
        struct pfs_client *c, *another;
        struct pfs_error err;

        said[0] = '\0';
        cr_assert_eq(fchmod(fd, rows[i].mode), 0);
        cr_assert_eq(pfs_client_new(list, rows[i].mode ? 2 : 1, &c, &err), PFS_OK, "%s", err.text);
        for (size_t k = 0; k < 2 && rows[i].words[k]; k++) {
            cr_expect_not_null(strstr(said, rows[i].words[k]), "%s: %s", rows[i].url, said);
        }
        cr_expect(rows[i].words[0] || !*said, "%s: %s", rows[i].url, said);
        cr_expect_null(strstr(said, "s3c"), "%s", said);
        said[0] = '\0';
        cr_assert_eq(pfs_client_new(list, rows[i].mode ? 2 : 1, &another, &err), PFS_OK);
        cr_expect_str_empty(said, "another of the same remote");
        pfs_client_free(another);
        pfs_client_free(c);
    }
    pfs_log_to(NULL, NULL, PFS_LOG_WARN);
    close(fd);
    unlink(token);
}

Test(options, A110_without_memory)
{
    struct pfs_option list[] = {{"base_url", "http://u:p@h.test"}, {"remote_path", "/a"}};
    struct pfs_error err;
    enum pfs_class cls = PFS_NOMEM;
    unsigned long n;

    for (n = 1; cls != PFS_OK && n < 100; n++) {
        struct options o;

        pfs_alloc_fail_nth(n);
        cls = client_options_parse(list, 2, &o, &err);
        pfs_alloc_fail_nth(0);
        cr_assert(cls == PFS_OK || cls == PFS_NOMEM, "%lu: %s", n, err.text);
        client_options_fini(&o);
    }
    cr_assert(n > 5 && n < 100);
}

Test(options, the_version_names_what_it_stands_on)
{
    const char *v = pfs_version();

    cr_assert_eq(strncmp(v, "libproxyfs " PFS_VERSION " (OpenSSL 3.",
                         strlen("libproxyfs " PFS_VERSION " (OpenSSL 3.")),
                 0, "%s", v);
    cr_assert(strstr(v, ", nghttp2 1.") && strstr(v, ", json-c 0."), "%s", v);
}
