/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors
 *
 * What can be said of a run in sentences. Each follows from numbers that the page shows. */
'use strict';

/* The latency's meaning. */
function latencySays(run) {
    return run.targets.some(t => t.steps.some(isOpen))
        ? 'Latency counts from the moment a call was planned: waiting behind slow calls is in it.'
        : 'Latency counts from the start of each call; the next one waits for it (closed loop).';
}

/* A ratio as a percentage or as "times", with its range over the rounds. */
function sayRatio(r, unit) {
    const [mid, low, high] = [r.mid, r.low, r.high].map(v => digits(unit === '%' ? 100 * v : v));
    const range = r.low == null || low === high ? '' : ` (${low} to ${high} over the rounds)`;
    return `${mid} ${unit}${range}`;
}

/* What stands in the way at this step, as far as the report tells; null when nothing is known. */
function bottleneck(run, step) {
    const {client, server, both, others} = cpusOf(step);
    const have = run.machine && run.machine.cpus;
    const busy = both ?? client;
    if (busy == null || !isNumber(have)) return null;
    const parts = both == null ? '' : ` + server ${digits(server)} = ${digits(busy)}`;
    const rest = others >= 0.05 * have ? `, everything else here ${digits(others)}` : '';
    const used = `client ${digits(client)}${parts} of ${plural(have, 'CPU')} busy${rest}`;
    if (busy >= 0.85 * have) return `${used}: the machine is used up, not the connection`;
    if (busy + others >= 0.85 * have) return `${used}: the machine is used up by all together`;
    if (both == null) return `${used}; the share of the server was not seen`;
    /* In a closed loop a caller and its server take turns. */
    if (!isOpen(step) && busy >= 0.85 * step.callers) {
        return `${used}, as much as ${plural(step.callers, 'caller')} can: the time is CPU time`;
    }
    const waits = `${used}: these two leave CPU time, calls wait for something else`;
    if (!isNumber(step.streams_peak) || !isNumber(step.connections)) return waits;
    const streams = plural(step.streams_peak, 'stream');
    return (
        `${waits} (${plural(step.connections, 'connection')}, at most ${streams} at a time; ` +
        'what runs behind the server is not seen here)'
    );
}

/* What less than 80 % of the best comes with: CPU time for the same work. */
function sayFall({best, worst}, work, how) {
    if (!worst || work.of(worst) >= 0.8 * work.of(best)) return null;
    const cpus = s => cpusOf(s).both ?? cpusOf(s).client;
    const cost = s => (isNumber(cpus(s)) ? (1e6 * cpus(s)) / work.of(s) : null);
    const [then, before] = [cost(worst), cost(best)];
    const only = `at ${how.of(worst.value)} only ${work.say(work.of(worst))}`;
    if (then == null || before == null) return only;
    return (
        `${only}; CPU time per ${work.unit} is ${say.us(then)} there, ` +
        `${say.us(before)} at ${how.of(best.value)}`
    );
}

/* A sentence for each target that has a knee. */
function sayKnees(run) {
    const remotes = run.targets.filter(t => !t.isLimit);
    return remotes
        .map(t => ({t, knee: kneeOf(run, t)}))
        .filter(k => k.knee)
        .map(({t, knee}) => {
            const whose = remotes.length > 1 ? ` of ${t.name}` : '';
            const where = sweepOf(run.sweep.name).of(knee.value);
            return `Knee${whose} at ${where}: ${say.text(knee.reason)}.`;
        });
}

/* A larger file or directory costs more, but nothing of it fills up; and where the rate is planned,
 * more callers or remotes do not get more done. */
const saturates = run =>
    run.sweep.name === 'rate_per_s' ||
    (!['size_bytes', 'entries'].includes(run.sweep.name) &&
        !run.targets.some(t => !t.isLimit && t.steps.some(isOpen)));

/* Rounds that differ by more than this were disturbed by something else. */
const NOISY = 0.3;

function sayNoise(run) {
    const steps = run.targets.flatMap(t => t.steps);
    const noisy = steps.filter(s => spreadOf(s) > NOISY);
    return noisy.length
        ? [
              `In ${noisy.length} of ${steps.length} steps the rounds differ by more than ` +
                  `${say.percent(NOISY)}: bends may come from that.`,
          ]
        : [];
}

function sweepFindings(run) {
    const how = sweepOf(run.sweep.name);
    const work = workOf(run);
    const out = sayNoise(run);
    for (const t of run.targets.filter(t => !t.isLimit)) {
        const knee = kneeOf(run, t);
        const at = knee && stepAt(t, knee.value);
        const why = at && bottleneck(run, at);
        const p = plateau(t, work.of);
        if (why) out.push(`${t.name} at ${how.of(knee.value)}: ${why}.`);
        if (!p) continue;
        const enough =
            p.enough === p.best ? '' : `; 90 % of that is reached at ${how.of(p.enough.value)}`;
        const reason = !why && p.enough !== t.steps.at(-1) && bottleneck(run, p.enough);
        out.push(
            `${t.name} gets most done at ${how.of(p.best.value)}, ${work.say(work.of(p.best))}` +
                `${enough}${reason ? ', with ' + reason : ''}.`,
        );
        const fall = sayFall(p, work, how);
        if (fall) out.push(`${t.name} ${fall}.`);
    }
    return out;
}

/* A round trip carries a few hundred bytes: calls with much content compare with the pipe. */
const MUCH = 16384;

function limitFindings(run, target, step) {
    const limit = limitAt(run, step.value);
    const p50 = percentile(opOf(step, 'all'), '50');
    const small = !(perCall(step, bytesOf(step)) > MUCH);
    const said = [];
    if (small && limit.trip > 0 && p50 > 0) {
        const trips = digits(p50 / limit.trip);
        said.push(`p50 is ${trips} round trips of bare TLS (${say.us(limit.trip)})`);
    }
    if (small && limit.rate > 0 && rateOf(step) > 0 && !isOpen(step)) {
        const share = say.percent(rateOf(step) / limit.rate);
        said.push(`calls per second are ${share} of bare round trips`);
    }
    if (limit.pipe > 0 && mbOf(step)) {
        said.push(`content moves at ${say.percent(mbOf(step) / limit.pipe)} of a bare pipe`);
    }
    return said.length ? [`${target.name}: ${said.join('; ')}.`] : [];
}

/* What rounds that differ may come from. */
function sayWhoWasBusy(run, step) {
    const {others} = cpusOf(step);
    const have = run.machine && run.machine.cpus;
    if (others == null || !isNumber(have)) return 'something else was busy, or the target itself';
    return others >= 0.1 * have
        ? `something else was busy here (${digits(others)} of ${plural(have, 'CPU')})`
        : 'nothing else was busy here, so it is the target or the way to it';
}

function troubles(run, target, step) {
    const out = [];
    const failed = errorsOf(step);
    const q = target.queue;
    if (failed > 0) {
        const first = step.first_error ? `; the first: ${step.first_error}` : '.';
        out.push(`${say.count(failed)} of ${say.count(triedOf(step))} calls failed${first}`);
    }
    if (step.warning) out.push(`${step.warning}.`);
    if (spreadOf(step) > NOISY) {
        const differ = `its rounds differ by ${say.percent(spreadOf(step))}`;
        out.push(`${differ}; ${sayWhoWasBusy(run, step)}.`);
    }
    if (q && 'conserved' in q) {
        const verdict = q.conserved ? 'none lost, none doubled' : 'messages were lost or doubled';
        const moved = `${say.count(q.enqueued)} messages enqueued, ${say.count(q.dequeued)} dequeued`;
        out.push(`${moved}: ${verdict}.`);
    }
    return out.map(said => `${target.name}: ${said}`);
}

/* In an open loop both do what was planned, and only times compare. */
function compared(target, step, base, measure) {
    const p50 = p50Ratio(step, measure);
    const rate = isOpen(step) ? null : rateRatio(step, measure);
    const said = [];
    const verdicts = step.against_first || {};
    const verdict = v => (v ? `, ${say.text(v)}` : '');
    if (p50) {
        const ratio = sayRatio(p50, 'times');
        said.push(`p50 is ${ratio} that of ${base.name}${verdict(verdicts.p50)}`);
    }
    if (rate) said.push(`calls per second are ${sayRatio(rate, '%')}${verdict(verdicts.rate)}`);
    return said.length ? [`${target.name}: ${said.join('; ')}.`] : [];
}

/* Sentences on the step that is shown. */
function stepFindings(run, value) {
    const base = baseline(run);
    const measure = base && stepAt(base, value);
    const found = run.targets.map(t => ({t, s: stepAt(t, value)})).filter(f => f.s);
    const said = found
        .filter(f => !f.t.isLimit)
        .flatMap(({t, s}) => [
            ...(measure && t !== base ? compared(t, s, base, measure) : []),
            ...limitFindings(run, t, s),
        ]);
    return [...said, ...found.flatMap(({t, s}) => troubles(run, t, s))];
}
