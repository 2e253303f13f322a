/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "options.h"
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdlib.h>

static const char *option(const struct options *o, const char *key)
{
    for (size_t i = 0; i < o->n_client; i++)
        if (strcmp(o->client[i].key, key) == 0)
            return o->client[i].value;
    return NULL;
}

static int parse(struct options *o, const char *const *words)
{
    int n = 0;
    while (words[n])
        n++;
    return options_parse(n, (char **)(uintptr_t)words, o);
}

#define PARSE(o, ...) parse(o, (const char *const[]){"agfs", __VA_ARGS__, NULL})

static void clean_environment(void)
{
    unsetenv("AGFS_API_URL");
    unsetenv("AGFS_SERVER_URL");
    unsetenv("AGFS_TIMEOUT");
}

TestSuite(options, .init = clean_environment);

Test(options, url)
{
    static const char *const rows[][2] = {
        {"http://localhost:8080", "http://localhost:8080/api/v1"},
        {"http://localhost:8080/", "http://localhost:8080/api/v1"},
        {"https://h/api/v1", "https://h/api/v1"},
        {"https://h/api/v1/", "https://h/api/v1"},
        {"https://h/prefix", "https://h/prefix/api/v1"},
        {"h:1", "http://h:1/api/v1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *url = options_url(rows[i][0]);
        cr_assert_str_eq(url, rows[i][1]);
        free(url);
    }
}

Test(options, precedence_of_the_server)
{
    struct options o;
    cr_assert_eq(PARSE(&o, "ls"), 0);
    cr_assert_str_eq(option(&o, "base_url"), "http://localhost:8080/api/v1");
    cr_assert_null(option(&o, "timeout"));
    options_fini(&o);
    setenv("AGFS_SERVER_URL", "http://second:2", 1);
    PARSE(&o, "ls");
    cr_assert_str_eq(option(&o, "base_url"), "http://second:2/api/v1");
    options_fini(&o);
    setenv("AGFS_API_URL", "http://first:1", 1);
    setenv("AGFS_TIMEOUT", "15", 1);
    PARSE(&o, "ls");
    cr_assert_str_eq(option(&o, "base_url"), "http://first:1/api/v1");
    cr_assert_str_eq(option(&o, "timeout"), "15s");
    options_fini(&o);
    PARSE(&o, "-o", "timeout=2s", "ls");
    cr_assert_eq(o.n_client, 2, "base_url and one timeout");
    cr_assert_str_eq(option(&o, "timeout"), "2s");
    options_fini(&o);
    PARSE(&o, "--agfs-api-url", "http://flag:3", "--timeout", "250ms", "ls");
    cr_assert_str_eq(o.server, "http://flag:3/api/v1");
    cr_assert_str_eq(option(&o, "timeout"), "250ms");
    options_fini(&o);
}

Test(options, a_password_is_not_for_messages)
{
    static const char *const rows[][2] = {
        {"http://user:pw@host:1", "http://***@host:1/api/v1"},
        {"user:p@ss@host", "http://***@host/api/v1"},
        {"https://host/@/x", "https://host/@/x/api/v1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct options o;
        char *whole = options_url(rows[i][0]);
        PARSE(&o, "--server", rows[i][0], "ls");
        cr_assert_str_eq(o.server, rows[i][1], "%s", o.server);
        cr_assert_str_eq(option(&o, "base_url"), whole);
        options_fini(&o);
        free(whole);
    }
}

Test(options, connection)
{
    struct options o;
    cr_assert_eq(PARSE(&o, "--cacert", "ca.pem", "--cert=c.pem", "--key", "k.pem", "-o",
                       "protocol=h2", "-o", "token_file=a=b", "stat", "--json", "/x"),
                 0);
    cr_assert_str_eq(option(&o, "ca_file"), "ca.pem");
    cr_assert_str_eq(option(&o, "client_cert"), "c.pem");
    cr_assert_str_eq(option(&o, "client_key"), "k.pem");
    cr_assert_str_eq(option(&o, "protocol"), "h2");
    cr_assert_str_eq(option(&o, "token_file"), "a=b");
    cr_assert_eq(o.first, 10);
    cr_assert_not(o.json, "what follows the command is the command's");
    options_fini(&o);
    cr_assert_eq(PARSE(&o, "--insecure", "--cacert", "ca.pem", "-k", "ls"), 0);
    cr_assert_str_eq(option(&o, "insecure_skip_verify"), "true");
    cr_assert_null(option(&o, "ca_file"), "the library refuses both together");
    options_fini(&o);
}

Test(options, the_rest)
{
    struct options o;
    cr_assert_eq(PARSE(&o, "-qvv", "--json", "--echo", "-c", "ls; pwd"), 0);
    cr_assert(o.quiet && o.json && o.echo);
    cr_assert_eq(o.verbose, 2);
    cr_assert_str_eq(o.commands, "ls; pwd");
    options_fini(&o);
    PARSE(&o, "--version");
    cr_assert(o.version);
    options_fini(&o);
    PARSE(&o, "-h");
    cr_assert(o.help);
    options_fini(&o);
}

Test(options, wrong_ones_are_usage_errors, .init = cr_redirect_stderr)
{
    struct options o;
    cr_assert_eq(PARSE(&o, "--nonsense", "ls"), EXIT_USAGE);
    options_fini(&o);
    cr_assert_eq(PARSE(&o, "-o", "novalue", "ls"), EXIT_USAGE);
    options_fini(&o);
    cr_assert_eq(PARSE(&o, "-o", "=x", "ls"), EXIT_USAGE);
    options_fini(&o);
    cr_assert_eq(PARSE(&o, "-c", "pwd", "ls", "/"), EXIT_USAGE);
    options_fini(&o);
    cr_assert_eq(PARSE(&o, "-c", "pwd", "-c", "ls"), EXIT_USAGE);
    options_fini(&o);
    cr_assert_eq(PARSE(&o, "--server"), EXIT_USAGE);
    options_fini(&o);
}

Test(options, what_is_wrong_with_a_variable)
{
    struct options o;
    setenv("AGFS_TIMEOUT", "abc", 1);
    setenv("AGFS_SERVER_URL", "ftp://h", 1);
    PARSE(&o, "ls");
    cr_assert_str_eq(options_blame(&o, "invalid timeout 'abc': a time"), "AGFS_TIMEOUT");
    cr_assert_str_eq(options_blame(&o, "invalid base_url 'ftp://h'"), "AGFS_SERVER_URL");
    cr_assert_null(options_blame(&o, "invalid retries 'x'"));
    cr_assert_null(options_blame(&o, "out of memory"));
    options_fini(&o);
    setenv("AGFS_API_URL", "ftp://h", 1);
    PARSE(&o, "--timeout", "abc", "ls");
    cr_assert_null(options_blame(&o, "invalid timeout 'abc': a time"));
    cr_assert_str_eq(options_blame(&o, "invalid base_url 'ftp://h'"), "AGFS_API_URL");
    options_fini(&o);
    PARSE(&o, "--server", "ftp://h", "-o", "timeout=abc", "ls");
    cr_assert_null(options_blame(&o, "invalid timeout 'abc': a time"));
    cr_assert_null(options_blame(&o, "invalid base_url 'ftp://h'"));
    options_fini(&o);
}
