/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_ARGS_H
#define AGFSD_ARGS_H

/* The command line of agfsd. Flags are as those of the stock server (-addr) or with two dashes. */
#include "config.h"

struct args {
    struct config config; /* of the file and the flags together */
    const char *addr_file;
    int ready_fd; /* -1: none */
    bool print_config, check_config;
};

/*
 * Reads the flags and the file they name. Returns -1 to go on, else the exit code (everything said
 * that is to be said). Fills *a either way: config_fini.
 */
int args_read(struct args *a, int argc, char **argv);
/* Splits "host:port", ":port" or "[::1]:port" (host into 256 bytes); false: it is none. */
bool args_split_address(const char *address, char host[256], unsigned *ret_port);

#endif
