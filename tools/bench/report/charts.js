/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors
 *
 * One chart: a figure with a title, a legend of buttons that also reads out the values under the cursor, the plot, and
 * words below. The cursor follows the mouse and the arrow keys. Colours come from the style sheet at each drawing, so
 * that they change with the scheme and for paper. */
'use strict';

const HEIGHT = 280, PAPER_WIDTH = 660;
const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3]];
const charts = new Set();

const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const FONT = '12px system-ui, sans-serif';

/* How a target is drawn wherever it appears. */
function lineOf(target) {
    return target.isLimit ? {color: '--limit', dash: [4, 4]}
        : {color: '--c' + target.index % 6, dash: DASHES[(target.index / 6 | 0) % DASHES.length]};
}

function svg(tag, attributes) {
    const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    return e;
}

function swatch(s) {
    const box = svg('svg', {width: 26, height: 10, 'aria-hidden': 'true'});
    box.append(s.dots ? svg('circle', {cx: 13, cy: 5, r: 3, fill: `var(${s.color})`})
        : svg('line', {x1: 0, y1: 5, x2: 26, y2: 5, stroke: `var(${s.color})`, 'stroke-width': s.width || 2,
            'stroke-dasharray': (s.dash || []).join(' ')}));
    return box;
}

function logRange(values) {
    const good = values.filter(v => v > 0);
    return good.length ? [Math.min(...good) / 1.2, Math.max(...good) * 1.2] : [1, 10];
}

/* Axis of uPlot. ticks(min, max, pixels) says where ticks stand, say how they read. */
function axis(a, side) {
    return {
        side, scale: side === 2 ? 'x' : 'y', label: a.label, labelSize: 20, labelGap: 2, size: side === 2 ? 32 : 72, gap: 6,
        font: FONT, labelFont: FONT, stroke: () => color('--dim'),
        grid: {stroke: () => color('--grid'), width: 1}, ticks: {stroke: () => color('--grid'), width: 1, size: 5},
        ...(a.ticks ? {splits: (u, i, min, max) => a.ticks(min, max, side === 2 ? u.width : u.height)} : {}),
        values: (u, splits) => splits.map(v => v == null ? '' : brief(a.say)(v)), filter: (u, splits) => splits,
        ...(side === 2 ? {space: 64} : {space: 36}),
    };
}

/* Vertical ({x, text}) and horizontal ({y, text}) lines over the plot. */
function drawMarks(u, marks) {
    const {ctx, bbox} = u, dpr = devicePixelRatio;
    ctx.save();
    ctx.font = `${12 * dpr}px system-ui, sans-serif`;
    ctx.strokeStyle = ctx.fillStyle = color('--mark');
    ctx.lineWidth = 1.5 * dpr;
    ctx.setLineDash([6 * dpr, 4 * dpr]);
    for (const m of marks) {
        ctx.beginPath();
        if ('x' in m) {
            const x = u.valToPos(m.x, 'x', true), right = x > bbox.left + bbox.width * 0.8;
            ctx.moveTo(x, bbox.top);
            ctx.lineTo(x, bbox.top + bbox.height);
            ctx.textAlign = right ? 'right' : 'left';
            ctx.fillText(m.text, x + (right ? -6 : 6) * dpr, bbox.top + 13 * dpr);
        } else {
            const y = u.valToPos(m.y, 'y', true);
            ctx.moveTo(bbox.left, y);
            ctx.lineTo(bbox.left + bbox.width, y);
            ctx.textAlign = 'left';
            ctx.fillText(m.text, bbox.left + 6 * dpr, y - 5 * dpr);
        }
        ctx.stroke();
    }
    ctx.restore();
}

/* The value of series i at the x nearest to index idx. */
function valueNear(data, i, idx) {
    for (let d = 0; d < data[0].length; d++) {
        for (const j of [idx - d, idx + d]) {
            if (data[i][j] != null) return data[i][j];
        }
    }
    return null;
}

/* The numbers of a chart as a table, made when it is asked for: there may be many. */
function numbers(c, drawn, nameOf, data) {
    const details = el('details', null, el('summary', null, 'Numbers'));
    details.addEventListener('toggle', () => {
        if (details.childElementCount > 1) return;
        details.append(table(c.title, [{head: c.x.label, num: true, cell: i => cell(data[0][i], c.x.say)},
            ...drawn.map((s, k) => ({head: nameOf(s), num: true, cell: i => cell(data[k + 1][i], c.y.say)}))], [...data[0].keys()]));
    });
    return details;
}

/* chart({title, x, y, series, marks, below, sync}): the figure. x, y: {label, say, log, ticks, range}; numbers: no table
 * shows them yet; a series:
 * {name, target (when it has several lines), color, dash, width, dots, points, data: [[x, y], ...]} with rising x. */
function chart(c) {
    const live = el('span.hidden', {'aria-live': 'polite'});
    const plot = el('div.plot', {tabindex: '0', role: 'group', 'aria-label': c.title + '. Arrow keys read out values; they are also in the tables.'});
    const at = el('output.at', null, '');
    const drawn = c.series.filter(s => s.data.some(p => isNumber(p[1])));
    const nameOf = s => s.target ? s.target.name + ' ' + s.name : s.name;
    const chips = drawn.map(s => el('button.chip', {type: 'button', 'aria-pressed': 'true', title: 'show or hide', 'aria-label': nameOf(s)},
        swatch(s), el('span', null, s.name), el('output', null, '')));
    const groups = [...new Set(drawn.map(s => s.target))].map(t => el('span.group', null, t ? el('b', null, t.name) : null,
        chips.filter((_, i) => drawn[i].target === t)));
    const figure = el('figure', {'data-chart': c.id}, el('figcaption', null, el('h3', null, c.title)),
        el('div.legend', null, groups, at), plot, live, c.below);
    if (!drawn.length) {
        plot.replaceWith(el('p.empty', null, c.empty || 'Nothing was measured for this chart.'));
        return figure;
    }
    const data = uPlot.join(drawn.map(s => [s.data.map(p => p[0]),
        s.data.map(p => isNumber(p[1]) && (p[1] > 0 || !c.y.log) ? p[1] : null)]));

    if (c.numbers) figure.append(numbers(c, drawn, nameOf, data));

    const read = u => {
        const idx = u.cursor.idx, on = idx != null && u.cursor.left >= 0;
        const texts = chips.map((chip, i) => on && u.series[i + 1].show ? c.y.say(valueNear(data, i + 1, idx)) : '');
        chips.forEach((chip, i) => { chip.lastChild.textContent = texts[i]; });
        at.textContent = on ? (c.x.sayAt || c.x.say)(data[0][idx]) : '';
        return at.textContent + ': ' + drawn.map((s, i) => nameOf(s) + ' ' + texts[i]).join(', ');
    };
    const u = new uPlot({
        width: 400, height: HEIGHT, legend: {show: false}, padding: [12, 16, 0, 0],
        scales: {
            x: {time: false, ...(c.x.log ? {distr: 3, log: 2} : {}), ...(c.x.range ? {range: () => c.x.range} : {})},
            y: c.y.log ? {distr: 3, log: 10, range: (s, min, max) => logRange([min, max, ...(c.marks || []).map(m => m.y)])}
                : {range: (s, min, max) => [0, max > 0 ? max * 1.1 : 1]},
        },
        axes: [axis(c.x, 2), axis(c.y.log ? {...c.y, ticks: logTicks} : c.y, 3)],
        series: [{}, ...drawn.map(s => ({
            label: nameOf(s), stroke: () => color(s.color), width: s.width || 2, dash: s.dash,
            ...(s.dots ? {paths: () => null} : {}),
            points: {show: Boolean(s.dots || s.points || s.data.length < 12 || s.data.some(p => p[1] === null)), size: s.points ? 7 : 4, fill: () => color(s.color)},
        }))],
        cursor: {sync: c.sync ? {key: c.sync} : undefined, points: {size: 8}},
        hooks: {setCursor: [read], draw: [self => drawMarks(self, c.marks || [])],
            ready: [() => { figure.dataset.rendered = drawn.length; }]},
    }, data, plot);

    chips.forEach((chip, i) => chip.addEventListener('click', () => {
        const show = !u.series[i + 1].show;
        chip.setAttribute('aria-pressed', show);
        u.setSeries(i + 1, {show});
        u.setCursor({left: u.cursor.left, top: u.cursor.top}); /* it reads out the lines that are left */
    }));
    plot.addEventListener('keydown', e => {
        const step = {ArrowRight: 1, ArrowLeft: -1}[e.key];
        if (!step) return;
        e.preventDefault();
        const last = data[0].length - 1;
        const idx = u.cursor.idx == null ? (step > 0 ? 0 : last) : Math.min(last, Math.max(0, u.cursor.idx + step));
        u.setCursor({left: u.valToPos(data[0][idx], 'x'), top: 10});
        live.textContent = read(u);
    });
    const fit = width => u.setSize({width: width || plot.clientWidth || 400, height: HEIGHT});
    const observer = new ResizeObserver(() => figure.isConnected && fit());
    observer.observe(plot);
    charts.add({figure, fit, redraw: () => u.redraw(false, true), end: () => { observer.disconnect(); u.destroy(); }});
    return figure;
}

/* Ends the charts inside of |root|, before it is filled anew. */
function endCharts(root) {
    for (const c of charts) {
        if (root.contains(c.figure)) {
            c.end();
            charts.delete(c);
        }
    }
}

function redrawCharts() {
    for (const c of charts) c.redraw();
}

/* Paper is light and of one width whatever the screen is. */
function followSchemeAndPaper() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redrawCharts);
    addEventListener('beforeprint', () => {
        document.documentElement.classList.add('paper');
        for (const c of charts) c.fit(PAPER_WIDTH);
        redrawCharts();
    });
    addEventListener('afterprint', () => {
        document.documentElement.classList.remove('paper');
        for (const c of charts) c.fit();
        redrawCharts();
    });
}
