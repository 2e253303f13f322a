/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_YAML_JSON_H
#define AGFSD_YAML_JSON_H

/* YAML values as the JSON that yaml.v3 and encoding/json make of them (plugin-abi.md 5.1). */
#include "jsonout.h"
#include <proxyfs/error.h>
#include <yaml.h>

/* Writes the tree below node. Errors: CONFIG (keys that are no strings, infinities, too much),
 * naming the line. *io_left counts nodes down. */
enum pfs_class yaml_to_json(yaml_document_t *doc, yaml_node_t *node, unsigned depth,
                            unsigned *io_left, struct jout *j, struct pfs_error *err);
/* True when the node is a plain scalar that yaml.v3 takes for null. */
bool yaml_is_null(const yaml_node_t *node);
/* The text of a scalar, "" for anything else. Borrowed. */
const char *yaml_text(const yaml_node_t *node);

#endif
