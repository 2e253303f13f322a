/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "stop.h"
#include "cancel.h"

bool stop_before(struct cli *cli, int n_left, int *code)
{
    if (!cancel_asked())
        return false;
    *code = cli_error(cli, EXIT_CANCEL, "cancelled: %d more %s not tried", n_left,
                      n_left == 1 ? "was" : "were");
    return true;
}
