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

function overTime(run, view, pick) {
    return comparable(run).flatMap(t => {
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
        series: overTime(run, view, (t, line) =>
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
        series: overTime(run, view, (t, line) => [
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

/* The curves of a sweep: pick(step) over its values. */
function sweepChart(run, id, title, y, pick, more) {
    const how = sweepOf(run.sweep.name);
    const values = sweepValues(run);
    const knee = run.sweep.knee;
    const series = (pick === mbOf ? run.targets : comparable(run)).flatMap(t =>
        (more || [['', pick, []]]).map(([name, f, dash]) => ({
            name: name || t.name,
            target: name ? t : undefined,
            ...lineOf(t),
            ...(dash.length ? {dash, width: 1.5} : {}),
            points: true,
            data: t.steps
                .filter(s => isNumber(s.value) && s.value > 0)
                .map(s => [s.value, f(s)])
                .sort((a, b) => a[0] - b[0]),
        })),
    );
    const ticks = (min, max, pixels) => {
        const room = (52 * Math.log(max / min)) / Math.max(pixels - 100, 100);
        const out = [];
        for (const v of values.filter(v => v >= min && v <= max)) {
            if (!out.length || Math.log(v / out.at(-1)) >= room) out.push(v);
        }
        return out;
    };
    return chart({
        id,
        title,
        series,
        y,
        x: {
            label: how.label,
            log: true,
            say: how.say,
            sayAt: how.of,
            ticks,
            range: [values.find(v => v > 0) / 1.15, values.at(-1) * 1.15],
        },
        marks: knee && isNumber(knee.value) ? [{x: knee.value, text: 'knee'}] : [],
    });
}

const spans = (run, pick) => {
    const v = comparable(run)
        .flatMap(t => t.steps.map(pick))
        .filter(x => x > 0);
    return v.length > 0 && Math.max(...v) > 50 * Math.min(...v);
};

function sweepCharts(run) {
    const work = workOf(run);
    const bytes = run.targets.some(t => !t.isLimit && t.steps.some(s => mbOf(s) > 0));
    const cpu = s =>
        isNumber(s.cpu_client_s) ? 1e6 * perCall(s, s.cpu_client_s + (s.cpu_server_s || 0)) : null;
    const server = run.targets.some(t => t.steps.some(s => isNumber(s.cpu_server_s)));
    const p = q => s => percentile(opOf(s, 'all'), q);
    const out = [
        sweepChart(
            run,
            'sweep-work',
            work.title,
            {label: work.label, say: say.number, log: spans(run, work.of)},
            work.of,
        ),
        sweepChart(run, 'sweep-latency', 'Latency', LATENCY, null, [
            ['p99', p('99'), []],
            ['p50', p('50'), [5, 4]],
        ]),
    ];
    if (work.of !== rateOf) {
        out.push(
            sweepChart(
                run,
                'sweep-rate',
                'Throughput',
                {label: 'calls per second', say: say.number, log: spans(run, rateOf)},
                rateOf,
            ),
        );
    } else if (bytes) {
        out.push(
            sweepChart(
                run,
                'sweep-bytes',
                'Content moved',
                {label: 'MB/s', say: say.number, log: spans(run, mbOf)},
                mbOf,
            ),
        );
    }
    if (run.targets.some(t => t.steps.some(s => cpu(s) > 0))) {
        out.push(
            sweepChart(
                run,
                'sweep-cpu',
                server ? 'CPU time per call, client and server' : 'CPU time per call, client',
                {label: 'CPU time', say: say.us, log: spans(run, cpu)},
                cpu,
            ),
        );
    }
    return out;
}
