# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
"""Where the stock server surprises its readers, and what this one does there. README.md shows the same table: a test compares."""

SAME = "the same"
# test, what the stock server does, what agfsd does
QUIRKS = [
    ("q01", "a missing file is 500 on nearly every backend", "404"),
    ("q02", "what exists already, or is not empty, is 500 except for mounts and links", "409"),
    ("q03", "the keys of `meta` are capitalised", SAME),
    ("q04", "an empty listing is `null`, and so are `matches`", SAME),
    ("q05", "`PUT /files` ignores `offset` and `flags`, and replaces the file", "both work, and `/capabilities` says so"),
    ("q06", "a write says `Written N bytes`", SAME),
    ("q07", "create, mkdir and symlink answer 201, opening a handle 200", SAME),
    ("q08", "modes are octal in queries, decimal in JSON", SAME),
    ("q09", "touch of an existing file fails with `EOF`", "works"),
    ("q10", "digest of memfs, queuefs, kvfs and serverinfofs fails with `EOF`", "works"),
    ("q11", "`xxh3` is the low half of XXH3-128", SAME),
    ("q12", "leases of handles never end", "they end when they say so; `renew` moves the end"),
    ("q13", "the list of handles is always empty", "lists those that are open"),
    ("q14", "the header of a stream comes with its first data", "comes at once"),
    ("q15", "`stream=true` ignores `offset` and `size`; nothing but `true` selects it", SAME),
    ("q16", "a stream that cannot be opened is always 404, also where the backend has no streams",
     "404, 400 or 403; files of every backend can be streamed"),
    ("q17", "truncate without effect is 200 on queuefs, streamfs, kvfs, serverinfofs, hellofs; elsewhere 500 without support",
     "the same 200; 501 without support"),
    ("q18", "`/capabilities` is about the whole server", "the same, with more features"),
    ("q19", "there is no `/sync`: 404 in plain text", "404, as JSON"),
    ("q20", "a path beside a mount with the same first bytes is not found", "the next shorter mount serves it"),
    ("q21", "grep reads control files: a message of each queue is lost", "a search over directories leaves control files and streams alone"),
    ("q22", "only `recursive=true` is recursive", SAME),
    ("q23", "links are not followed by recursive delete, rename, truncate, touch, streams, handles",
     "followed, except that delete and rename mean the link"),
    ("q24", "modes of localfs are those of Go (a directory has 0x80000000)", SAME),
    ("q25", "times are in the server's zone", "always UTC"),
    ("q26", "413 ends the connection", "the same; over HTTP/2 only the stream ends"),
    ("q27", "a read of a handle allocates what was asked for", "at most 16 MiB a read; a negative offset is 400"),
    ("q28", "unload only shuts the plugin down", "refused while it is mounted; then its type is gone"),
    ("q29", "types of auto-loaded plugins cannot be mounted", "can be mounted"),
    ("q30", "a configuration that JSON cannot express empties `/mounts`", "refused at start, with file and line"),
    ("q31", "`/health` counts configured mounts only", SAME),
    ("q32", "`init_dirs` of memfs is accepted and ignored", SAME),
    ("q33", "digest and grep explain a bad body, others say `invalid request body`", SAME),
    ("unlisted_differences", "`//`, `/./`, `/handles` are redirected with 301 or 307", "answered at once"),
    ("unlisted_differences", "an unknown path is 404 in plain text", "404 with `error`, as JSON"),
    ("unlisted_differences", "rename across mounts and a ring of links are 500; unmounting what is not mounted too", "400; 400; 404"),
    ("unlisted_differences", "`renew` and `truncate` of a handle, which clients call, are unknown", "work"),
    ("unlisted_differences", "`plugins/load` fetches `http://` and `https://`",
     "501: a server does not run what it finds on the network; copy it into the tree and load `agfs://PATH`"),
    ("unlisted_differences", "removing the root of a localfs mount removes its host directory", "403, and everything stays"),
    ("unlisted_differences", "a search of a file with a line of more than 65535 bytes is 500", "413"),
    ("unlisted_differences", "a search as a stream of a directory, without `recursive`, is 200 and an error", "the same; through a mount 400"),
    ("unlisted_differences", "has gptfs, heartbeatfs, httpfs, s3fs, sqlfs, sqlfs2, streamrotatefs and vectorfs, and queues in MySQL, TiDB and PostgreSQL",
     "400, with the types that there are; load a plugin for others"),
    ("unlisted_differences", "errors have `error` only", "also class, outcome, phase, origin, hop"),
]


def markdown():
    lines = ["| test | the stock server | agfsd |", "|---|---|---|"]
    return "\n".join(lines + ["| %s | %s | %s |" % row for row in QUIRKS])
