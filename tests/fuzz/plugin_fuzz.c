/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * A host that calls the plugin in any order with anything: each call is an opcode, three bytes of
 * numbers, and a path up to the next NUL. What comes back is read as far as the interface says.
 */
#include <proxyfs/agfs_plugin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const int64_t numbers[] = {0,         1,         2,         7,         -1,         -2,
                                  INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, UINT32_MAX, 4096};

static int64_t number(uint8_t b)
{
    return numbers[b % (sizeof numbers / sizeof *numbers)];
}

static volatile size_t sink; /* so that reading is not optimised away */

static void read_text(const char *s)
{
    sink += s ? strlen(s) : 0;
}

static void read_info(const FileInfoC *i)
{
    read_text(i->Name);
    read_text(i->MetaName);
    read_text(i->MetaType);
    read_text(i->MetaContent);
}

static void read_data(const char *p, int64_t n)
{
    if ((p && n < 0) || n < -1) {
        abort(); /* the stock host would die of it */
    }
    for (int64_t i = 0; p && i < n; i++) {
        sink += (unsigned char)p[i];
    }
}

static void list(void *plugin, const char *path)
{
    int64_t n = 0;
    FileInfoArray *a = FSReadDir(plugin, path, &n);

    if (n < 0 || (n > 0 && (!a || !a->Items))) {
        abort();
    }
    for (int64_t i = 0; i < n; i++) {
        read_info(&a->Items[i]);
        if (!a->Items[i].Name || !*a->Items[i].Name || strchr(a->Items[i].Name, '/')) {
            abort();
        }
    }
}

static void call(void *plugin, const uint8_t b[4], const char *path, const char *content)
{
    int64_t n = 0;
    const char *data;
    FileInfoC *info;

    switch (b[0] % 16) {
    case 0:
        read_text(PluginValidate(plugin, path));
        break;
    case 1:
        read_text(PluginInitialize(
            plugin, b[1] & 1 ? "{\"base_url\":\"fake:up\",\"mount_path\":\"/p\"}" : path));
        break;
    case 2:
        read_text(PluginShutdown(plugin));
        break;
    case 3:
        PluginFree(plugin);
        break;
    case 4:
        read_text(PluginName(plugin));
        break;
    case 5:
        read_text(FSCreate(plugin, path));
        break;
    case 6:
        read_text(FSMkdir(plugin, path, (uint32_t)number(b[1])));
        break;
    case 7:
        read_text(FSRemove(plugin, path));
        break;
    case 8:
        read_text(FSRemoveAll(plugin, path));
        break;
    case 9:
    case 10:
        data = FSRead(plugin, path, number(b[1]), number(b[2]), b[3] == 255 ? NULL : &n);
        read_data(data, n);
        break;
    case 11:
        n = (int64_t)strlen(content) < number(b[3]) ? (int64_t)strlen(content) : number(b[3]);
        FSWrite(plugin, path, b[3] == 255 ? NULL : content, n, number(b[1]), b[2]);
        break;
    case 12:
        list(plugin, path);
        break;
    case 13:
        info = FSStat(plugin, path);
        if (info) {
            read_info(info);
        }
        break;
    case 14:
        read_text(FSRename(plugin, path, b[1] & 1 ? content : NULL));
        break;
    case 15:
        read_text(FSChmod(plugin, path, (uint32_t)number(b[1])));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static void *plugin;
    char path[5000];
    uint8_t head[4];

    plugin = plugin ? plugin : PluginNew();
    for (size_t at = 0; at + sizeof head < n;) {
        memcpy(head, data + at, sizeof head);
        at += sizeof head;
        size_t len = strnlen((const char *)data + at, n - at);
        size_t take = len < sizeof path - 1 ? len : sizeof path - 1;

        memcpy(path, data + at, take);
        path[take] = '\0';
        at += len + 1;
        if (!strstr(path, "hold") && !strstr(path, "big")) { /* these wait, or are large */
            call(plugin, head, head[3] == 254 ? NULL : path, path);
        }
    }
    return 0;
}
