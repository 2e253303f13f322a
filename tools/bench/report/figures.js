/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors
 *
 * The charts of a run: which lines, over which axes, and what is said below them. */
'use strict';

const NINES = [0, 50, 75, 90, 95, 99, 99.9, 99.99, 99.999];
const LATENCY = {label: 'latency', log: true, say: say.us};

/* Percentiles on an axis where each further nine has the same width: 90, 99, 99.9 are 1, 2, 3. */
const nines = p => -Math.log10(1 - Math.min(p, 99.9999) / 100);
const percentOf = x => Number((100 * (1 - 10 ** -x)).toPrecision(8));
const sayPercentile = x => 'p' + Number(percentOf(x).toFixed(Math.max(1, Math.floor(x + 1e-9))));

function ninesTicks(min, max, pixels) {
    const room = (34 * (max - min)) / Math.max(pixels - 90, 100);
    const main = [50, 90, 99, 99.9, 99.99, 99.999]
        .map(nines)
        .filter(v => v >= min - 1e-9 && v <= max + 1e-9);
    const more = NINES.map(nines).filter(
        v => v >= min - 1e-9 && v <= max + 1e-9 && main.every(m => Math.abs(m - v) > room),
    );
    return [...main, ...more].sort((a, b) => a - b);
}

function percentileChart(run, view) {
    const shown = comparable(run)
        .map(t => ({t, op: shownOp(t, stepAt(t, view.value), view)}))
        .filter(x => x.op);
    const series = shown.map(({t, op}) => ({
        name: t.name,
        ...lineOf(t),
        data: list(op.curve)
            .filter(p => Array.isArray(p) && p[0] < 100)
            .map(([p, us]) => [nines(p), us])
            .filter((p, i, all) => i === 0 || p[0] > all[i - 1][0]),
    }));
    const ends = series.flatMap(s => s.data.map(p => p[0]));
    const least = Math.min(...series.flatMap(s => s.data.map(p => p[1])));
    const trip = run.limits && run.limits.round_trip_us;
    const limit =
        trip > least / 8 && !run.targets.some(t => t.isLimit)
            ? [{y: trip, text: 'bare TLS round trip ' + say.us(trip)}]
            : [];
    return chart({
        id: 'percentiles',
        title: 'Latency by percentile',
        series,
        marks: limit,
        x: {
            label: 'percentile',
            say: x => String(Number(percentOf(x).toFixed(4))),
            sayAt: sayPercentile,
            ticks: ninesTicks,
            range: [Math.min(...ends), Math.max(...ends)],
        },
        y: LATENCY,
        below: el(
            'p.note',
            null,
            'Each nine has the same width. ' +
                latencySays(run) +
                ' A curve ends where too few calls were slower to say more.',
        ),
    });
}

function overTime(targets, view, pick) {
    return targets.flatMap(t => {
        const step = stepAt(t, view.value);
        return step ? pick(t, timeline(step)) : [];
    });
}

const points = (line, key) =>
    line.map(p => [p.t_s, p[key]]).filter((p, i, all) => i === 0 || p[0] > all[i - 1][0]);
const SECONDS = {label: 'time of the step (s)', say: v => digits(v), sayAt: v => digits(v) + ' s'};

function latencyChart(run, view) {
    return chart({
        id: 'latency',
        title: 'Latency over time',
        sync: 'time',
        numbers: true,
        x: SECONDS,
        y: LATENCY,
        empty: 'This run has no timeline.',
        series: overTime(comparable(run), view, (t, line) =>
            [
                {name: 'p99', data: points(line, 'p99_us')},
                {name: 'p50', dash: [5, 4], width: 1.5, data: points(line, 'p50_us')},
                {name: 'max', dots: true, width: 1, data: t.isLimit ? [] : points(line, 'max_us')},
            ].map(s => ({...s, target: t, color: lineOf(t).color})),
        ),
    });
}

function throughputChart(run, view) {
    return chart({
        id: 'throughput',
        title: 'Throughput over time',
        sync: 'time',
        numbers: true,
        x: SECONDS,
        y: {label: 'calls per second', say: say.number},
        empty: 'This run has no timeline.',
        series: overTime(rated(run), view, (t, line) => [
            {name: t.name, ...lineOf(t), data: points(line, 'rate')},
            {
                name: t.name + ' failed',
                color: '--bad',
                dots: true,
                data: points(line, 'error_rate'),
            },
        ]),
    });
}

/* Ticks stand at the values of the sweep, as many as there is room for. */
function valueTicks(values) {
    return (min, max, pixels) => {
        const room = (52 * Math.log(max / min)) / Math.max(pixels - 100, 100);
        const out = [];
        for (const v of values.filter(v => v >= min && v <= max)) {
            if (!out.length || Math.log(v / out.at(-1)) >= room) out.push(v);
        }
        return out;
    };
}

/* A line for each knee; where there are several, in the colour of the target that it is of. */
function kneeMarks(run) {
    const knees = new Map();
    for (const t of run.targets.filter(t => !t.isLimit && kneeOf(run, t))) {
        const {value} = kneeOf(run, t);
        knees.set(value, [...(knees.get(value) || []), t]);
    }
    return [...knees].map(([x, of]) => ({
        x,
        text: 'knee',
        ...(knees.size > 1 && of.length === 1 ? {color: lineOf(of[0]).color} : {}),
    }));
}

/* Curves over the values of a sweep: one of each target, or several {name, pick, dash}. */
function sweepChart(run, targets, {id, title, y, lines}) {
    const how = sweepOf(run.sweep.name);
    const values = sweepValues(run).filter(v => v > 0);
    const curve = (t, {name, pick, dash}) => ({
        name: name || t.name,
        target: name ? t : undefined,
        ...lineOf(t),
        ...(dash ? {dash, width: 1.5} : {}),
        points: true,
        data: values
            .map(v => stepAt(t, v))
            .filter(s => s)
            .map(s => [s.value, pick(s)]),
    });
    const x = {
        label: how.label,
        log: true,
        say: how.say,
        sayAt: how.of,
        ticks: valueTicks(values),
        range: [values[0] / 1.15, values.at(-1) * 1.15],
    };
    const series = targets.flatMap(t => lines.map(l => curve(t, l)));
    return chart({id, title, x, y, series, marks: kneeMarks(run)});
}

/* A chart of one number of each step; its axis is logarithmic where the curves span much. */
function sweepOfNumber(run, targets, id, title, label, how, pick) {
    const all = targets.flatMap(t => t.steps.map(pick)).filter(v => v > 0);
    if (!all.length) return null;
    const log = Math.max(...all) > 50 * Math.min(...all);
    return sweepChart(run, targets, {id, title, y: {label, say: how, log}, lines: [{pick}]});
}

function cpuPerCall(s) {
    const both = isNumber(s.cpu_client_s) ? s.cpu_client_s + (s.cpu_server_s || 0) : null;
    return both == null ? null : perCall(s, 1e6 * both);
}

function sweepCharts(run) {
    const work = workOf(run);
    const targets = comparable(run);
    const moving = run.targets.some(t => !t.isLimit && t.steps.some(mbOf)) ? run.targets : [];
    const server = run.targets.some(t => t.steps.some(s => isNumber(s.cpu_server_s)));
    const p = q => s => percentile(opOf(s, 'all'), q);
    const one = (of, ...rest) => sweepOfNumber(run, of, ...rest);
    return [
        one(
            work.of === mbOf ? moving : rated(run),
            'sweep-work',
            work.title,
            work.label,
            say.number,
            work.of,
        ),
        sweepChart(run, targets, {
            id: 'sweep-latency',
            title: 'Latency',
            y: LATENCY,
            lines: [
                {name: 'p99', pick: p('99')},
                {name: 'p50', pick: p('50'), dash: [5, 4]},
            ],
        }),
        work.of !== mbOf
            ? one(moving, 'sweep-bytes', 'Content moved', 'MB/s', say.number, mbOf)
            : null,
        work.of !== rateOf
            ? one(rated(run), 'sweep-rate', 'Throughput', 'calls per second', say.number, rateOf)
            : null,
        one(
            targets,
            'sweep-cpu',
            `CPU time per call, client${server ? ' and server' : ''}`,
            'CPU time',
            say.us,
            cpuPerCall,
        ),
    ].filter(Boolean);
}
