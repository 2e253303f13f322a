/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors
 *
 * The tables of a run, and the tiles above them. Every number of a chart can be read here. */
'use strict';

const OUTCOMES = {NA: 'not applied', UN: 'unknown', AP: 'applied'};
const us = v => cell(v, say.us, 'µs');
const label = target => [el('span.key', null, swatch(lineOf(target))), target.name];
const targetColumn = pick => ({head: 'target', cell: r => ({node: label(pick(r))})});

function chosen(run, view) {
    return run.targets.map(t => ({t, s: stepAt(t, view.value)})).filter(r => r.s);
}

/* One tile a target: how fast, how slow at worst, what failed. */
function tiles(run, view) {
    return el(
        'div.tiles',
        null,
        chosen(run, view).map(({t, s}) => {
            const op = shownOp(t, s, view);
            const failed = errorsOf(s);
            return el(
                'section.tile',
                {'aria-label': t.name},
                el('h3', null, label(t), t.isLimit ? el('span.tag', null, 'limit') : null),
                el(
                    'p.big',
                    null,
                    say.rate(rateOf(s)),
                    mbOf(s) ? el('small', null, ' ' + say.mb(mbOf(s))) : null,
                ),
                el(
                    'div.trio',
                    null,
                    [
                        ['p50', percentile(op, '50')],
                        ['p99', percentile(op, '99')],
                        ['max', op && op.max_us],
                    ].map(([name, v]) =>
                        el('span', null, el('small', null, name), el('b', null, say.us(v))),
                    ),
                ),
                el(
                    failed ? 'p.bad' : 'p.good',
                    null,
                    failed
                        ? '✕ ' +
                              say.count(failed) +
                              ' of ' +
                              say.count(triedOf(s)) +
                              ' calls failed'
                        : '✓ ' + say.count(s.calls) + ' calls, none failed',
                ),
                el('p.dim', null, [t.protocol, t.url, t.path].filter(Boolean).join(' · ')),
            );
        }),
    );
}

function percentilesTable(run, view) {
    const rows = chosen(run, view)
        .map(({t, s}) => ({t, op: shownOp(t, s, view)}))
        .filter(r => r.op);
    const names = [...new Set(rows.flatMap(r => Object.keys(r.op.percentiles_us || {})))].sort(
        (a, b) => a - b,
    );
    return table(
        'Latency by percentile',
        [
            targetColumn(r => r.t),
            {head: 'calls', num: true, cell: r => cell(r.op.calls, say.count)},
            {head: 'min', num: true, cell: r => us(r.op.min_us)},
            {head: 'mean', num: true, cell: r => us(r.op.mean_us)},
            {head: 'sd', num: true, title: 'standard deviation', cell: r => us(r.op.sd_us)},
            ...names.map(n => ({head: 'p' + n, num: true, cell: r => us(percentile(r.op, n))})),
            {head: 'max', num: true, cell: r => us(r.op.max_us)},
        ],
        rows,
        {id: 'percentiles-table'},
    );
}

/* From p50 to p99 as a bar, a tick at the maximum, on one logarithmic scale for all rows. */
function rangeBar(op, low, high) {
    const W = 180;
    const at = v => (Math.log(v / low) / Math.log(high / low || 2)) * (W - 8) + 4;
    const p50 = percentile(op, '50');
    const p99 = percentile(op, '99');
    const bar = svg('svg', {width: W, height: 14, 'aria-hidden': 'true'});
    if (p50 > 0) {
        bar.append(
            svg('line', {
                x1: at(p50),
                x2: at(op.max_us > 0 ? op.max_us : p50),
                y1: 7,
                y2: 7,
                stroke: 'var(--dim)',
            }),
        );
        bar.append(
            svg('rect', {
                x: at(p50),
                y: 3,
                width: Math.max(3, at(p99 > 0 ? p99 : p50) - at(p50)),
                height: 8,
                fill: `var(${op.color})`,
            }),
        );
        if (op.max_us > 0)
            bar.append(
                svg('line', {
                    x1: at(op.max_us),
                    x2: at(op.max_us),
                    y1: 2,
                    y2: 12,
                    stroke: 'var(--dim)',
                    'stroke-width': 2,
                }),
            );
    }
    return bar;
}

function opsTable(run, view) {
    const rows = chosen(run, view)
        .filter(r => !r.t.isLimit)
        .flatMap(({t, s}) => list(s.ops).map(op => ({t, op: {...op, color: lineOf(t).color}})));
    const order = opNames(run);
    rows.sort(
        (a, b) =>
            order.indexOf(String(a.op.op)) - order.indexOf(String(b.op.op)) ||
            a.t.index - b.t.index,
    );
    const all = rows
        .flatMap(r => [percentile(r.op, '50'), percentile(r.op, '99'), r.op.max_us])
        .filter(v => v > 0);
    const low = Math.min(...all);
    const high = Math.max(...all);
    return table(
        'By operation',
        [
            {head: 'operation', cell: r => ({text: say.text(r.op.op)})},
            targetColumn(r => r.t),
            {head: 'calls', num: true, cell: r => cell(r.op.calls, say.count)},
            {head: 'failed', num: true, cell: r => cell(r.op.errors, say.count)},
            {head: 'p50', num: true, cell: r => us(percentile(r.op, '50'))},
            {head: 'p99', num: true, cell: r => us(percentile(r.op, '99'))},
            {head: 'p99.9', num: true, cell: r => us(percentile(r.op, '99.9'))},
            {head: 'max', num: true, cell: r => us(r.op.max_us)},
            {
                head: 'p50 to p99, max',
                title: 'logarithmic, ' + say.us(low) + ' to ' + say.us(high),
                cell: r => ({node: rangeBar(r.op, low, high)}),
            },
        ],
        rows,
        {id: 'ops-table'},
    );
}

function errorsTable(run, view) {
    const rows = chosen(run, view);
    const classes = [
        ...new Set(rows.flatMap(r => Object.keys(r.s.errors || {}).filter(k => r.s.errors[k] > 0))),
    ];
    if (!classes.length) return el('p.good', null, '✓ No call failed.');
    return table(
        'Failed calls by class, and what is known of their effect',
        [
            targetColumn(r => r.t),
            {head: 'failed', num: true, cell: r => cell(errorsOf(r.s), say.count)},
            {
                head: 'of all',
                num: true,
                cell: r =>
                    cell(triedOf(r.s) > 0 ? errorsOf(r.s) / triedOf(r.s) : null, say.percent),
            },
            ...classes.map(c => ({
                head: c,
                num: true,
                cell: r => cell((r.s.errors || {})[c] || 0, say.count),
            })),
            ...Object.entries(OUTCOMES).map(([k, text]) => ({
                head: text,
                num: true,
                title: 'outcome ' + k,
                cell: r => cell((r.s.outcomes || {})[k] ?? null, say.count),
            })),
            {head: 'the first', cell: r => ({text: say.text(r.s.first_error)})},
        ],
        rows,
        {id: 'errors-table'},
    );
}

/* What a call costs: CPU, switches, bytes; and the connections behind it. */
function costTable(run, view) {
    const cpus = r => cpusOf(r.s);
    return table(
        'What a call costs',
        [
            targetColumn(r => r.t),
            {
                head: 'CPU client',
                num: true,
                cell: r =>
                    us(isNumber(r.s.cpu_client_s) ? perCall(r.s, 1e6 * r.s.cpu_client_s) : null),
            },
            {
                head: 'CPU server',
                num: true,
                cell: r =>
                    us(isNumber(r.s.cpu_server_s) ? perCall(r.s, 1e6 * r.s.cpu_server_s) : null),
            },
            {
                head: 'CPUs busy',
                num: true,
                title: 'of client and server together, where both were seen',
                cell: r => cell(cpus(r).both ?? cpus(r).client, say.number),
            },
            {
                head: 'CPUs of all else',
                num: true,
                title: 'what runs here beside them, servers behind the first one included',
                cell: r => cell(cpus(r).others, say.number),
            },
            {
                head: 'instructions',
                num: true,
                cell: r => cell(r.s.instructions_per_call, say.count),
            },
            {
                head: 'context switches',
                num: true,
                cell: r => cell(r.s.context_switches_per_call, say.number),
            },
            {
                head: 'bytes on the wire',
                num: true,
                cell: r => cell(perCall(r.s, wireOf(r.s)), say.bytes),
            },
            {head: 'connections', num: true, cell: r => cell(r.s.connections, say.count)},
            {
                head: 'connects',
                num: true,
                title: 'connections made during the measurement',
                cell: r => cell(r.s.connects, say.count),
            },
            {head: 'streams at most', num: true, cell: r => cell(r.s.streams_peak, say.count)},
        ],
        chosen(run, view),
        {id: 'cost-table'},
    );
}

function roundsTable(run, view) {
    const rows = chosen(run, view).filter(r => list(r.s.rates_per_round).length > 1);
    const base = baseline(run);
    if (!rows.length) return null;
    const a = base && stepAt(base, view.value);
    const n = Math.max(...rows.map(r => r.s.rates_per_round.length));
    return table(
        'Calls per second in each round',
        [
            targetColumn(r => r.t),
            ...Array.from({length: n}, (_, i) => ({
                head: 'round ' + (i + 1),
                num: true,
                cell: r => cell(r.s.rates_per_round[i], say.number),
            })),
            {head: 'median', num: true, cell: r => cell(median(r.s.rates_per_round), say.number)},
            {
                head: 'spread',
                num: true,
                title: '(highest - lowest) / median',
                cell: r => cell(spreadOf(r.s), say.percent),
            },
            {
                head: 'against ' + (base ? base.name : ''),
                cell: r => ({
                    text:
                        r.t === base
                            ? 'it is the measure'
                            : a && rateRatio(r.s, a)
                              ? sayRatio(rateRatio(r.s, a), '%')
                              : NONE,
                }),
            },
        ],
        rows,
        {id: 'rounds-table'},
    );
}

/* How far each target is from what the machine can do, as measured beside it. */
function limitsTable(run, view) {
    const limit = limitAt(run, view.value);
    const rows = chosen(run, view).filter(r => !r.t.isLimit);
    if (limit.trip == null && limit.rate == null && limit.pipe == null) {
        return el('p.dim', null, 'No limit was measured beside this run (--limit does).');
    }
    if (!rows.length) return null;
    const bar = share => {
        const e = svg('svg', {width: 120, height: 12, 'aria-hidden': 'true'});
        e.append(
            svg('rect', {x: 0, y: 2, width: 120, height: 8, fill: 'var(--grid)'}),
            svg('rect', {
                x: 0,
                y: 2,
                width: 120 * Math.min(1, share),
                height: 8,
                fill: 'var(--accent)',
            }),
        );
        return e;
    };
    const shared = share =>
        isNumber(share)
            ? {node: [bar(share), ' ', say.percent(share)], value: share}
            : {text: NONE};
    const p50 = r => percentile(opOf(r.s, view.op), '50');
    const against = (r, how) =>
        isNumber(limit.trip) && isNumber(p50(r)) ? how(p50(r), limit.trip) : null;
    return table(
        'Against bare TLS on this machine, without a protocol or a file system',
        [
            targetColumn(r => r.t),
            {
                head: 'of its calls per second',
                cell: r =>
                    shared(
                        limit.rate > 0 && !isOpen(r.s) && isNumber(rateOf(r.s))
                            ? rateOf(r.s) / limit.rate
                            : null,
                    ),
            },
            {
                head: 'of its content per second',
                title: say.mb(limit.pipe),
                cell: r => shared(limit.pipe > 0 && mbOf(r.s) ? mbOf(r.s) / limit.pipe : null),
            },
            {head: 'p50', num: true, cell: r => us(p50(r))},
            {head: 'its round trip', num: true, cell: () => us(limit.trip)},
            {
                head: 'round trips',
                num: true,
                cell: r =>
                    cell(
                        against(r, (a, b) => a / b),
                        say.number,
                    ),
            },
            {head: 'added', num: true, cell: r => us(against(r, (a, b) => a - b))},
        ],
        rows,
        {id: 'limits-table'},
    );
}

function sweepTable(run) {
    const how = sweepOf(run.sweep.name);
    const op = r => opOf(r.s, 'all');
    const rows = sweepValues(run).flatMap(v =>
        run.targets.map(t => ({v, t, s: stepAt(t, v)})).filter(r => r.s),
    );
    return table(
        'The sweep over ' + how.label,
        [
            {head: how.label, num: true, cell: r => cell(r.v, how.say)},
            targetColumn(r => r.t),
            {head: 'calls/s', num: true, cell: r => cell(rateOf(r.s), say.number)},
            {head: 'MB/s', num: true, cell: r => cell(mbOf(r.s), say.number)},
            ...['50', '99', '99.9'].map(p => ({
                head: 'p' + p,
                num: true,
                cell: r => us(percentile(op(r), p)),
            })),
            {head: 'max', num: true, cell: r => us(op(r) && op(r).max_us)},
            {head: 'failed', num: true, cell: r => cell(errorsOf(r.s), say.count)},
            {
                head: 'CPUs busy',
                num: true,
                cell: r => cell(cpusOf(r.s).both ?? cpusOf(r.s).client, say.number),
            },
        ],
        rows,
        {id: 'sweep-table'},
    );
}

function facts(pairs) {
    return el(
        'dl',
        null,
        pairs
            .filter(([, v]) => v != null && v !== '')
            .flatMap(([k, v]) => [el('dt', null, k), el('dd', null, v)]),
    );
}

function workloadFacts(run) {
    const swept = run.sweep && run.sweep.name;
    const w = run.workload || {};
    const seconds = s => brief(say.us)(1e6 * s);
    return facts([
        ['operations', w.text],
        ['content', w.size_bytes > 0 && swept !== 'size_bytes' ? say.bytes(w.size_bytes) : null],
        ['directory entries', w.entries > 0 && swept !== 'entries' ? say.count(w.entries) : null],
        ['files', w.files > 0 ? say.count(w.files) : null],
        [
            'arrival',
            w.arrival === 'closed' ? 'closed loop' : w.arrival ? 'open loop, ' + w.arrival : null,
        ],
        [
            'duration',
            isNumber(w.duration_s)
                ? seconds(w.duration_s) +
                  ' a step' +
                  (w.warmup_s ? ', after ' + seconds(w.warmup_s) + ' of warm-up in each round' : '')
                : null,
        ],
        ['calls', isNumber(w.count) ? say.count(w.count) : null],
        ['rounds', isNumber(w.rounds) ? say.count(w.rounds) : null],
    ]);
}

function machineFacts(run) {
    const m = run.machine || {};
    return facts(
        [
            ['processor', m.model],
            ['CPUs', m.cpus],
            ['memory', m.memory_bytes ? say.bytes(m.memory_bytes) : null],
            ['kernel', m.kernel],
            ...Object.entries(run.versions || {}).map(([k, v]) => [k.replace(/_/g, '-'), v]),
        ].map(([k, v]) => [k, v == null ? null : String(v)]),
    );
}
