/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors
 *
 * The run as read from JSON, and what can be said of it. Absent facts are null and stay so: no guess takes their place. */
'use strict';

const sum = values => values.reduce((a, b) => a + b, 0);
const list = v => Array.isArray(v) ? v : [];

function median(values) {
    const s = [...values].sort((a, b) => a - b);
    return s.length === 0 ? null : s.length % 2 ? s[s.length >> 1] : (s[s.length / 2 - 1] + s[s.length / 2]) / 2;
}

/* Throws an Error with a text for people when the report cannot be shown. */
function readRun(text) {
    let run;
    try {
        run = JSON.parse(text);
    } catch (e) {
        throw new Error('its JSON is damaged (' + e.message + ')');
    }
    if (!run || typeof run !== 'object' || typeof run.schema !== 'string' || !run.schema.startsWith('agfs-bench/')) {
        throw new Error('its JSON is not a report of agfs-bench');
    }
    if (run.schema !== 'agfs-bench/1') {
        throw new Error('it has the form ' + run.schema + ', this page reads agfs-bench/1');
    }
    run.targets = list(run.targets).map((t, i) => ({...t, index: i, isLimit: t.kind === 'limit',
        name: t.name == null ? 'target ' + (i + 1) : String(t.name), steps: list(t.steps)}));
    if (!run.targets.some(t => t.steps.length)) {
        throw new Error('no step of it was measured' + (run.interrupted ? ' before it was interrupted' : ''));
    }
    return run;
}

/* Steps. Its calls are those that succeeded; what failed is counted beside them. */
const rateOf = s => isNumber(s.reached_rate_per_s) ? s.reached_rate_per_s
    : isNumber(s.calls) && s.seconds > 0 ? s.calls / s.seconds : null;
const errorsOf = s => sum(Object.values(s.errors || {}).filter(isNumber));
const triedOf = s => (s.calls || 0) + errorsOf(s);
const bytesOf = s => (s.bytes_read || 0) + (s.bytes_written || 0);
const mbOf = s => s.seconds > 0 && bytesOf(s) > 0 ? bytesOf(s) / s.seconds / 1e6 : null;
const perCall = (s, v) => isNumber(v) && s.calls > 0 ? v / s.calls : null;
const wireOf = s => isNumber(s.wire_in_bytes) && isNumber(s.wire_out_bytes) ? s.wire_in_bytes + s.wire_out_bytes : null;
const percentile = (op, p) => op && op.percentiles_us && isNumber(op.percentiles_us[p]) ? op.percentiles_us[p] : null;

/* The CPUs kept busy, of the client, and of the server when it was seen. */
function cpusOf(s) {
    const client = isNumber(s.cpu_client_s) && s.seconds > 0 ? s.cpu_client_s / s.seconds : null;
    const server = isNumber(s.cpu_server_s) && s.seconds > 0 ? s.cpu_server_s / s.seconds : null;
    return {client, server, both: client != null && server != null ? client + server : null};
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
    const pipe = t => t.isLimit && t.steps.every(s => list(s.ops).every(o => String(o.op).startsWith('pipe')));
    const some = run.targets.filter(t => !pipe(t));
    return some.length ? some : run.targets;
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
    const names = [...new Set(targets.flatMap(t => t.steps.flatMap(s => list(s.ops).map(o => String(o.op)))))];
    return names.length > 1 ? ['all', ...names.filter(n => n !== 'all')] : names;
}

/* Others are compared with the first that is no limit. */
function baseline(run) {
    return run.targets.find(t => !t.isLimit && t.steps.length) || null;
}

/* b as a share of a: round by round where both have rounds, else by the whole; {mid, low, high}. */
function ratio(b, a) {
    const rb = list(b.rates_per_round), ra = list(a.rates_per_round);
    if (rb.length > 1 && rb.length === ra.length && ra.every(v => v > 0)) {
        const r = rb.map((v, i) => v / ra[i]);
        return {mid: median(r), low: Math.min(...r), high: Math.max(...r)};
    }
    const x = rateOf(b), y = rateOf(a);
    return isNumber(x) && y > 0 ? {mid: x / y, low: null, high: null} : null;
}

function sayRatio(r) {
    return say.percent(r.mid) + (r.low == null || say.percent(r.low) === say.percent(r.high) ? ''
        : ' (' + say.percent(r.low) + ' to ' + say.percent(r.high) + ' over the rounds)');
}

/* What stands in the way at this step, as far as the report tells; null when nothing is known. */
function bottleneck(run, step) {
    const cpus = cpusOf(step), have = run.machine && run.machine.cpus;
    const busy = cpus.both ?? cpus.client;
    if (busy == null || !isNumber(have)) return null;
    const used = 'client ' + digits(cpus.client) + (cpus.both == null ? '' : ' + server ' + digits(cpus.server) + ' = ' + digits(busy))
        + ' of ' + plural(have, 'CPU') + ' busy';
    if (busy >= 0.85 * have) return used + ': the machine is used up, not the connection';
    /* In a closed loop a caller and its server take turns. */
    if (step.latency_from === 'start' && cpus.both != null && busy >= 0.85 * step.callers) {
        return used + ', as much as ' + plural(step.callers, 'caller') + ' can: the time is CPU time';
    }
    if (cpus.both == null) return used + '; the share of the server was not seen';
    return used + ': these two leave CPU time, calls wait for something else (what runs behind the server is not seen here)'
        + (isNumber(step.streams_peak) && isNumber(step.connections)
            ? '; ' + plural(step.connections, 'connection') + ', at most ' + plural(step.streams_peak, 'stream') + ' at a time' : '');
}

/* What a step of the sweep gets done: content where its size grows, entries where listings grow, else calls. */
function workOf(run) {
    const listsOnly = run.targets.filter(t => !t.isLimit).every(t => t.steps.every(s => list(s.ops).every(o => o.op === 'list')));
    if (run.sweep.name === 'size_bytes') return {label: 'MB/s', unit: 'MB', title: 'Content moved', of: mbOf, say: say.mb};
    if (run.sweep.name === 'entries' && listsOnly) {
        return {label: 'entries per second', unit: 'entry', title: 'Entries listed', say: v => digits(v) + ' entries/s',
            of: s => isNumber(rateOf(s)) ? rateOf(s) * s.value : null};
    }
    return {label: 'calls per second', unit: 'call', title: 'Throughput', of: rateOf, say: say.rate};
}

/* Where a target ends to get more done: the best step, the first one with 90 % of it, the worst of those after it. */
function plateau(target, work) {
    const steps = target.steps.filter(s => isNumber(s.value) && work(s) > 0);
    if (steps.length < 2) return null;
    const best = steps.reduce((a, b) => work(b) > work(a) ? b : a);
    const after = steps.filter(s => s.value > best.value);
    return {best, enough: steps.find(s => work(s) >= 0.9 * work(best)),
        worst: after.length ? after.reduce((a, b) => work(b) < work(a) ? b : a) : null};
}

/* What less than 80 % of the best comes with: CPU time for the same work. */
function sayFall(plateau, work, how) {
    const {best, worst} = plateau, cpus = s => cpusOf(s).both ?? cpusOf(s).client;
    if (!worst || work.of(worst) >= 0.8 * work.of(best)) return null;
    const cost = s => isNumber(cpus(s)) ? 1e6 * cpus(s) / work.of(s) : null, a = cost(best), b = cost(worst);
    return 'at ' + how.of(worst.value) + ' only ' + work.say(work.of(worst)) + (isNumber(a) && isNumber(b)
        ? '; CPU time per ' + work.unit + ' is ' + say.us(b) + ' there, ' + say.us(a) + ' at ' + how.of(best.value) : '') + '.';
}

/* A larger file or directory costs more, but nothing of it fills up. */
const saturates = run => !['size_bytes', 'entries'].includes(run.sweep.name);

/* The knee is that of the first target. */
function sayKnee(run) {
    const knee = run.sweep.knee, several = run.targets.filter(t => !t.isLimit).length > 1;
    return knee && isNumber(knee.value) ? 'Knee' + (several ? ' of ' + run.targets[0].name : '') + ' at '
        + sweepOf(run.sweep.name).of(knee.value) + ': ' + say.text(knee.reason) + '.' : null;
}

function sweepFindings(run) {
    const how = sweepOf(run.sweep.name), knee = run.sweep.knee, work = workOf(run), out = [];
    for (const t of run.targets.filter(t => !t.isLimit)) {
        const at = knee && stepAt(t, knee.value), why = at && bottleneck(run, at), p = plateau(t, work.of);
        if (why) out.push(t.name + ' at ' + how.of(knee.value) + ': ' + why + '.');
        if (!p) continue;
        const reason = !why && p.enough !== t.steps.at(-1) && bottleneck(run, p.enough);
        out.push(t.name + ' gets most done at ' + how.of(p.best.value) + ', ' + work.say(work.of(p.best))
            + (p.enough !== p.best ? '; 90 % of that is reached at ' + how.of(p.enough.value) : '') + (reason ? ', with ' + reason + '.' : '.'));
        const fall = sayFall(p, work, how);
        if (fall) out.push(t.name + ' ' + fall);
    }
    return out;
}

/* Sentences on the step that is shown. */
function stepFindings(run, value) {
    const out = [], base = baseline(run), a = base && stepAt(base, value);
    for (const t of run.targets) {
        const b = stepAt(t, value);
        if (a && b && t !== base && !t.isLimit) {
            const r = ratio(b, a);
            if (r) out.push(t.name + ' makes ' + sayRatio(r) + ' of the calls per second of ' + base.name + '.');
        }
        if (b && !t.isLimit) out.push(...limitFindings(run, t, b));
    }
    for (const t of run.targets) {
        const s = stepAt(t, value);
        if (s && errorsOf(s) > 0) {
            out.push(t.name + ': ' + say.count(errorsOf(s)) + ' of ' + say.count(triedOf(s)) + ' calls failed'
                + (s.first_error ? '; the first: ' + s.first_error : '.'));
        }
        if (s && s.warning) out.push(t.name + ': ' + s.warning + '.');
        if (s && t.queue && 'conserved' in t.queue) {
            out.push(t.name + ': ' + say.count(t.queue.enqueued) + ' messages enqueued, ' + say.count(t.queue.dequeued) + ' dequeued: '
                + (t.queue.conserved ? 'none lost, none doubled.' : 'messages were lost or doubled.'));
        }
    }
    return out;
}

/* The limit measured beside a step: round trips of a bare connection, with as many callers where that was measured. */
function limitAt(run, value) {
    const target = comparable(run).find(t => t.isLimit), step = target && stepAt(target, value), l = run.limits || {};
    const trip = step ? percentile(opOf(step, 'all'), '50') : null;
    return {target, rate: step ? rateOf(step) : null, trip: trip ?? (isNumber(l.round_trip_us) ? l.round_trip_us : null),
        pipe: isNumber(l.pipe_mb_per_s) ? l.pipe_mb_per_s : null};
}

function limitFindings(run, target, step) {
    const limit = limitAt(run, step.value), p50 = percentile(opOf(step, 'all'), '50'), said = [];
    if (limit.trip > 0 && p50 > 0) said.push('p50 is ' + digits(p50 / limit.trip) + ' round trips of bare TLS (' + say.us(limit.trip) + ')');
    if (limit.rate > 0 && rateOf(step) > 0) said.push('calls per second are ' + say.percent(rateOf(step) / limit.rate) + ' of its');
    if (limit.pipe > 0 && mbOf(step)) said.push('content moves at ' + say.percent(mbOf(step) / limit.pipe) + ' of a bare pipe');
    return said.length ? [target.name + ': ' + said.join('; ') + '.'] : [];
}

/* The latency's meaning, in words. */
function latencySays(run) {
    const from = new Set(run.targets.flatMap(t => t.steps.map(s => s.latency_from)));
    return from.has('planned')
        ? 'Latency counts from the moment a call was planned, so waiting behind slow calls is in it.'
        : 'Latency counts from the start of each call: the next call waits for the one before it (closed loop).';
}

/* Points of the timeline with their rates per second; holes in time become holes in the curve. */
function timeline(step) {
    const points = list(step.timeline).filter(p => isNumber(p.t_s)).sort((a, b) => a.t_s - b.t_s);
    const width = median(points.slice(1).map((p, i) => p.t_s - points[i].t_s).filter(d => d > 0)) || step.seconds || 1;
    const out = [];
    points.forEach((p, i) => {
        if (i > 0 && p.t_s - points[i - 1].t_s > 1.5 * width) out.push({t_s: points[i - 1].t_s + width});
        out.push({...p, rate: isNumber(p.calls) ? p.calls / width : null, error_rate: p.errors > 0 ? p.errors / width : null});
    });
    return out;
}
