/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "secret_name.h"
#include <criterion/criterion.h>
#include <string.h>

Test(secret_name, what_is_hidden)
{
    static const char *const names[] = {
        "password",      "PASSWORD",       "db_password", "userPassword", "passwd",
        "passphrase",    "token",          "auth_TOKEN",  "authToken",    "bearer.token",
        "secret",        "client_secret",  "secret_key",  "secretKey",    "secret_access_key",
        "access_key",    "AWS-Access-Key", "api_key",     "Api-Key",      "apikey",
        "openai_apiKey", "private_key",    "credential",  "credentials",  "Authorization",
        "dsn",           "mysql_dsn",      "token_",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cr_expect(is_secret_name(names[i], strlen(names[i])), "%s", names[i]);
    }
    char name[1000];

    memset(name, 'x', sizeof name);
    memcpy(name + sizeof name - 5, "token", 5);
    cr_expect(is_secret_name(name, sizeof name), "however long it is");
}

Test(secret_name, what_is_shown)
{
    static const char *const names[] = {
        "",
        "_",
        "key",
        "client_key",
        "client_cert",
        "token_file",
        "keyspace",
        "monkey",
        "max_tokens",
        "tokenizer",
        "token_ttl",
        "password_file",
        "access_key_id",
        "secretary",
        "base_url",
        "okens",
        "oken",
        "user",
        "api_key_path",
        "cache_keys",
        "bucket",
        "secret_rotation",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cr_expect_not(is_secret_name(names[i], strlen(names[i])), "%s", names[i]);
    }
    cr_expect_not(is_secret_name("token_file", strlen("token_") - 2), "of n bytes only");
    cr_expect(is_secret_name("token_file", strlen("token_")), "of n bytes only");
}
