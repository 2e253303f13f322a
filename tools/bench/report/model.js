/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors
 *
 * The run as read from JSON, and what can be said of it. Absent facts are null and stay so: no
 * guess takes their place. */
'use strict';

const sum = values => values.reduce((a, b) => a + b, 0);
const list = v => (Array.isArray(v) ? v : []);

function median(values) {
    const s = [...values].sort((a, b) => a - b);
    return s.length === 0
        ? null
        : s.length % 2
          ? s[s.length >> 1]
          : (s[s.length / 2 - 1] + s[s.length / 2]) / 2;
}

/* Throws an Error with a text for people when the report cannot be shown. */
function readRun(text) {
    let run;
    try {
        run = JSON.parse(text);
    } catch (e) {
        throw new Error('its JSON is damaged (' + e.message + ')');
    }
    if (
        !run ||
        typeof run !== 'object' ||
        typeof run.schema !== 'string' ||
        !run.schema.startsWith('agfs-bench/')
    ) {
        throw new Error('its JSON is not a report of agfs-bench');
    }
    if (run.schema !== 'agfs-bench/1') {
        throw new Error('it has the form ' + run.schema + ', this page reads agfs-bench/1');
    }
    run.targets = list(run.targets).map((t, i) => ({
        ...t,
        index: i,
        isLimit: t.kind === 'limit',
        name: t.name == null ? 'target ' + (i + 1) : String(t.name),
        steps: list(t.steps),
    }));
    if (!run.targets.some(t => t.steps.length)) {
        throw new Error(
            'no step of it was measured' + (run.interrupted ? ' before it was interrupted' : ''),
        );
    }
    return run;
}

/* Steps. Its calls are those that succeeded; what failed is counted beside them. */
const rateOf = s =>
    isNumber(s.reached_rate_per_s)
        ? s.reached_rate_per_s
        : isNumber(s.calls) && s.seconds > 0
          ? s.calls / s.seconds
          : null;
const errorsOf = s => sum(Object.values(s.errors || {}).filter(isNumber));
const triedOf = s => (s.calls || 0) + errorsOf(s);
const bytesOf = s => (s.bytes_read || 0) + (s.bytes_written || 0);
const mbOf = s => (s.seconds > 0 && bytesOf(s) > 0 ? bytesOf(s) / s.seconds / 1e6 : null);
const perCall = (s, v) => (isNumber(v) && s.calls > 0 ? v / s.calls : null);
const wireOf = s =>
    isNumber(s.wire_in_bytes) && isNumber(s.wire_out_bytes)
        ? s.wire_in_bytes + s.wire_out_bytes
        : null;
const percentile = (op, p) =>
    op && op.percentiles_us && isNumber(op.percentiles_us[p]) ? op.percentiles_us[p] : null;

/* The knee of a target {value, reason}, or null. Older reports have only that of the first. */
function kneeOf(run, target) {
    const knee = target.knee ?? (target.index === 0 && run.sweep ? run.sweep.knee : null);
    return knee && isNumber(knee.value) ? knee : null;
}

/* How far the rounds of a step are from each other, of their median; null with less than two. */
function spreadOf(s) {
    const rates = list(s.rates_per_round);
    const middle = median(rates);
    return rates.length > 1 && middle > 0
        ? (Math.max(...rates) - Math.min(...rates)) / middle
        : null;
}

/* The CPUs kept busy, of the client, of the server when it was seen, of what else runs here. */
function cpusOf(s) {
    const of = v => (isNumber(v) && s.seconds > 0 ? v / s.seconds : null);
    const [client, server, all] = [s.cpu_client_s, s.cpu_server_s, s.cpu_machine_s].map(of);
    const both = client != null && server != null ? client + server : null;
    const own = both ?? client;
    return {client, server, both, others: all == null ? null : Math.max(0, all - own)};
}

/* The named operation, by default all of them together. */
function opOf(step, name) {
    const ops = list(step && step.ops);
    return ops.find(o => o.op === name) || (name === 'all' ? ops[ops.length - 1] : null) || null;
}

/* What is shown of a step: a limit has one operation of its own. */
function shownOp(target, step, view) {
    return opOf(step, target.isLimit ? 'all' : view.op);
}

/* Targets whose calls compare with the others': a piece from a pipe is no call. */
function comparable(run) {
    const pipe = t =>
        t.isLimit && t.steps.every(s => list(s.ops).every(o => String(o.op).startsWith('pipe')));
    const some = run.targets.filter(t => !pipe(t));
    return some.length ? some : run.targets;
}

/* In an open loop the rate is planned: it says nothing of what would be possible. */
const isOpen = s => s.latency_from === 'planned';

/* Targets whose rates compare. */
function rated(run) {
    const open = run.targets.some(t => !t.isLimit && t.steps.some(isOpen));
    return comparable(run).filter(t => !open || !t.isLimit);
}

function stepAt(target, value) {
    return target.steps.find(s => s.value === value) || null;
}

function sweepValues(run) {
    const values = new Set(run.targets.flatMap(t => t.steps.map(s => s.value)).filter(isNumber));
    return [...values].sort((a, b) => a - b);
}

function opNames(run) {
    const targets = run.targets.filter(t => !t.isLimit);
    const names = [
        ...new Set(targets.flatMap(t => t.steps.flatMap(s => list(s.ops).map(o => String(o.op))))),
    ];
    return names.length > 1 ? ['all', ...names.filter(n => n !== 'all')] : names;
}

/* Others are compared with the first that is no limit. */
function baseline(run) {
    return run.targets.find(t => !t.isLimit && t.steps.length) || null;
}

/* What of b and a stands in a row per round as {mid, low, high} of b / a; by the whole where there
 * are no rounds, null where there is nothing. */
function ratio(roundsB, roundsA, b, a) {
    const [rb, ra] = [list(roundsB), list(roundsA)];
    if (rb.length > 1 && rb.length === ra.length && ra.every(v => v > 0)) {
        const r = rb.map((v, i) => v / ra[i]);
        return {mid: median(r), low: Math.min(...r), high: Math.max(...r)};
    }
    return isNumber(b) && a > 0 ? {mid: b / a, low: null, high: null} : null;
}

function rateRatio(b, a) {
    return ratio(b.rates_per_round, a.rates_per_round, rateOf(b), rateOf(a));
}

function p50Ratio(b, a) {
    const [x, y] = [opOf(b, 'all'), opOf(a, 'all')];
    const [p, q] = [percentile(x, '50'), percentile(y, '50')];
    /* What was refused for want of samples is refused as a part of a ratio too. */
    return p == null || q == null
        ? null
        : ratio(x.p50_per_round_us, y.p50_per_round_us, p, q);
}

/* What a step of the sweep gets done: content where its size grows, entries where listings grow,
 * else calls. */
function workOf(run) {
    const listsOnly = run.targets
        .filter(t => !t.isLimit)
        .every(t => t.steps.every(s => list(s.ops).every(o => o.op === 'list')));
    if (run.sweep.name === 'size_bytes')
        return {label: 'MB/s', unit: 'MB', title: 'Content moved', of: mbOf, say: say.mb};
    if (run.sweep.name === 'entries' && listsOnly) {
        return {
            label: 'entries per second',
            unit: 'entry',
            title: 'Entries listed',
            say: v => digits(v) + ' entries/s',
            of: s => (isNumber(rateOf(s)) ? rateOf(s) * s.value : null),
        };
    }
    return {
        label: 'calls per second',
        unit: 'call',
        title: 'Throughput',
        of: rateOf,
        say: say.rate,
    };
}

/* Where a target ends to get more done: the best step, the first one with 90 % of it, the worst of
 * those after it. */
function plateau(target, work) {
    const steps = target.steps.filter(s => isNumber(s.value) && work(s) > 0);
    if (steps.length < 2) return null;
    const best = steps.reduce((a, b) => (work(b) > work(a) ? b : a));
    const after = steps.filter(s => s.value > best.value);
    return {
        best,
        enough: steps.find(s => work(s) >= 0.9 * work(best)),
        worst: after.length ? after.reduce((a, b) => (work(b) < work(a) ? b : a)) : null,
    };
}

/* The limit measured beside a step: round trips of a bare connection, with as many callers where
 * that was measured. */
function limitAt(run, value) {
    const target = comparable(run).find(t => t.isLimit);
    const step = target && stepAt(target, value);
    const l = run.limits || {};
    const trip = step ? percentile(opOf(step, 'all'), '50') : null;
    return {
        target,
        rate: step ? rateOf(step) : null,
        trip: trip ?? (isNumber(l.round_trip_us) ? l.round_trip_us : null),
        pipe: isNumber(l.pipe_mb_per_s) ? l.pipe_mb_per_s : null,
    };
}

/* Points of the timeline with their rates per second; holes in time become holes in the curve. */
function timeline(step) {
    const points = list(step.timeline)
        .filter(p => isNumber(p.t_s))
        .sort((a, b) => a.t_s - b.t_s);
    const width =
        median(
            points
                .slice(1)
                .map((p, i) => p.t_s - points[i].t_s)
                .filter(d => d > 0),
        ) ||
        step.seconds ||
        1;
    const out = [];
    points.forEach((p, i) => {
        if (i > 0 && p.t_s - points[i - 1].t_s > 1.5 * width)
            out.push({t_s: points[i - 1].t_s + width});
        out.push({
            ...p,
            rate: isNumber(p.calls) ? p.calls / width : null,
            error_rate: p.errors > 0 ? p.errors / width : null,
        });
    });
    return out;
}
