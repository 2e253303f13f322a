/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors
 *
 * One chart: a figure with a title, a legend of buttons that also reads out the values under
 * the cursor, the plot, and words below. The cursor follows the mouse and the arrow keys.
 * Colours come from the style sheet at each drawing, so that they change with the scheme and for
 * paper. */
'use strict';

const HEIGHT = 280;
const PAPER_WIDTH = 660;
const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3]];
const charts = new Set();

const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const FONT = '12px system-ui, sans-serif';

/* How a target is drawn wherever it appears. */
function lineOf(target) {
    return target.isLimit
        ? {color: '--limit', dash: [4, 4]}
        : {
              color: '--c' + (target.index % 6),
              dash: DASHES[((target.index / 6) | 0) % DASHES.length],
          };
}

function svg(tag, attributes) {
    const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    return e;
}

function swatch(s) {
    const box = svg('svg', {width: 26, height: 10, 'aria-hidden': 'true'});
    box.append(
        s.dots
            ? svg('circle', {cx: 13, cy: 5, r: 3, fill: `var(${s.color})`})
            : svg('line', {
                  x1: 0,
                  y1: 5,
                  x2: 26,
                  y2: 5,
                  stroke: `var(${s.color})`,
                  'stroke-width': s.width || 2,
                  'stroke-dasharray': (s.dash || []).join(' '),
              }),
    );
    return box;
}

function logRange(values) {
    const good = values.filter(v => v > 0);
    return good.length ? [Math.min(...good) / 1.2, Math.max(...good) * 1.2] : [1, 10];
}

/* Axis of uPlot. ticks(min, max, pixels) says where ticks stand, say how they read. */
function axis(a, side) {
    return {
        side,
        scale: side === 2 ? 'x' : 'y',
        label: a.label,
        labelSize: 20,
        labelGap: 2,
        size: side === 2 ? 32 : 72,
        gap: 6,
        font: FONT,
        labelFont: FONT,
        stroke: () => color('--dim'),
        grid: {stroke: () => color('--grid'), width: 1},
        ticks: {stroke: () => color('--grid'), width: 1, size: 5},
        ...(a.ticks
            ? {splits: (u, i, min, max) => a.ticks(min, max, side === 2 ? u.width : u.height)}
            : {}),
        values: (u, splits) => splits.map(v => (v == null ? '' : brief(a.say)(v))),
        filter: (u, splits) => splits,
        ...(side === 2 ? {space: 64} : {space: 36}),
    };
}

/* Vertical ({x, text}) and horizontal ({y, text}) lines over the plot. */
function drawMarks(u, marks) {
    const {ctx, bbox} = u;
    const dpr = devicePixelRatio;
    ctx.save();
    ctx.font = `${12 * dpr}px system-ui, sans-serif`;
    ctx.lineWidth = 1.5 * dpr;
    ctx.setLineDash([6 * dpr, 4 * dpr]);
    marks.forEach((m, i) => {
        ctx.strokeStyle = ctx.fillStyle = color(m.color || '--mark');
        ctx.beginPath();
        if ('x' in m) {
            const x = u.valToPos(m.x, 'x', true);
            const right = x > bbox.left + bbox.width * 0.8;
            ctx.moveTo(x, bbox.top);
            ctx.lineTo(x, bbox.top + bbox.height);
            ctx.textAlign = right ? 'right' : 'left';
            ctx.fillText(m.text, x + (right ? -6 : 6) * dpr, bbox.top + (13 + 15 * i) * dpr);
        } else {
            const y = u.valToPos(m.y, 'y', true);
            ctx.moveTo(bbox.left, y);
            ctx.lineTo(bbox.left + bbox.width, y);
            ctx.textAlign = 'left';
            ctx.fillText(m.text, bbox.left + 6 * dpr, y - 5 * dpr);
        }
        ctx.stroke();
    });
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
        details.append(
            table(
                c.title,
                [
                    {head: c.x.label, num: true, cell: i => cell(data[0][i], c.x.say)},
                    ...drawn.map((s, k) => ({
                        head: nameOf(s),
                        num: true,
                        cell: i => cell(data[k + 1][i], c.y.say),
                    })),
                ],
                [...data[0].keys()],
            ),
        );
    });
    return details;
}

/* The legend: a button per line, those of a target together. */
function legend(lines, nameOf) {
    const chips = lines.map(s => {
        const attributes = {type: 'button', 'aria-pressed': 'true', title: 'show or hide'};
        const parts = [swatch(s), el('span', null, s.name), el('output', null, '')];
        return el('button.chip', {...attributes, 'aria-label': nameOf(s)}, parts);
    });
    const groups = [...new Set(lines.map(s => s.target))].map(t => {
        const own = chips.filter((_, i) => lines[i].target === t);
        return el('span.group', null, t ? el('b', null, t.name) : null, own);
    });
    return {chips, groups};
}

/* A line of uPlot. Where values are missing, points show those that stand alone. */
function line(s, label) {
    const alone = s.data.length < 12 || s.data.some(p => p[1] === null);
    return {
        label,
        stroke: () => color(s.color),
        width: s.width || 2,
        dash: s.dash,
        ...(s.dots ? {paths: () => null} : {}),
        points: {
            show: Boolean(s.dots || s.points || alone),
            size: s.points ? 7 : 4,
            fill: () => color(s.color),
        },
    };
}

function scales(c) {
    const marked = (c.marks || []).map(m => m.y);
    return {
        x: {
            time: false,
            ...(c.x.log ? {distr: 3, log: 2} : {}),
            ...(c.x.range ? {range: () => c.x.range} : {}),
        },
        y: c.y.log
            ? {distr: 3, log: 10, range: (u, min, max) => logRange([min, max, ...marked])}
            : {range: (u, min, max) => [0, max > 0 ? max * 1.1 : 1]},
    };
}

/* Buttons hide lines, arrow keys move the cursor. */
function listen(u, {plot, chips, live, read}) {
    chips.forEach((chip, i) =>
        chip.addEventListener('click', () => {
            const show = !u.series[i + 1].show;
            chip.setAttribute('aria-pressed', show);
            u.setSeries(i + 1, {show});
            u.setCursor({left: u.cursor.left, top: u.cursor.top}); /* reads out what is left */
        }),
    );
    plot.addEventListener('keydown', e => {
        const step = {ArrowRight: 1, ArrowLeft: -1}[e.key];
        if (!step) return;
        e.preventDefault();
        const last = u.data[0].length - 1;
        const from = u.cursor.idx ?? (step > 0 ? -1 : last + 1);
        const to = Math.min(last, Math.max(0, from + step));
        u.setCursor({left: u.valToPos(u.data[0][to], 'x'), top: 10});
        live.textContent = read(u);
    });
}

/* Draws into the parts of a figure, and keeps the chart as wide as its place. */
function draw(c, lines, data, parts) {
    const {figure, plot, chips, at} = parts;
    const read = u => {
        const idx = u.cursor.idx;
        const on = idx != null && u.cursor.left >= 0;
        const texts = chips.map((chip, i) => {
            const value = on && u.series[i + 1].show ? c.y.say(valueNear(data, i + 1, idx)) : '';
            chip.lastChild.textContent = value;
            return chip.getAttribute('aria-label') + ' ' + value;
        });
        at.textContent = on ? (c.x.sayAt || c.x.say)(data[0][idx]) : '';
        return at.textContent + ': ' + texts.join(', ');
    };
    const options = {
        width: 400,
        height: HEIGHT,
        legend: {show: false},
        padding: [12, 16, 0, 0],
        scales: scales(c),
        axes: [axis(c.x, 2), axis(c.y.log ? {...c.y, ticks: logTicks} : c.y, 3)],
        series: [{}, ...lines],
        cursor: {sync: c.sync ? {key: c.sync} : undefined, points: {size: 8}},
        hooks: {setCursor: [read], draw: [u => drawMarks(u, c.marks || [])]},
    };
    const u = new uPlot(options, data, plot);
    const fit = width => u.setSize({width: width || plot.clientWidth || 400, height: HEIGHT});
    const observer = new ResizeObserver(() => figure.isConnected && fit());
    const end = () => {
        observer.disconnect();
        u.destroy();
    };
    listen(u, {...parts, read});
    observer.observe(plot);
    charts.add({figure, fit, redraw: () => u.redraw(false, true), end});
    figure.dataset.rendered = lines.length;
}

/* chart({title, x, y, series, marks, below, sync}): the figure. x, y: {label, say, log, ticks,
 * range}; numbers: no table shows them yet; a series: {name, target (when it has several lines),
 * color, dash, width, dots, points, data: [[x, y], ...]} with rising x. */
function chart(c) {
    const shown = c.series.filter(s => s.data.some(p => isNumber(p[1])));
    const nameOf = s => (s.target ? s.target.name + ' ' + s.name : s.name);
    const {chips, groups} = legend(shown, nameOf);
    const label = c.title + '. Arrow keys read out values; they are also in the tables.';
    const plot = el('div.plot', {tabindex: '0', role: 'group', 'aria-label': label});
    const at = el('output.at', null, '');
    const live = el('span.hidden', {'aria-live': 'polite'});
    const figure = el(
        'figure',
        {'data-chart': c.id},
        el('figcaption', null, el('h3', null, c.title)),
        el('div.legend', null, groups, at),
        plot,
        live,
        c.below,
    );
    if (!shown.length) {
        plot.replaceWith(el('p.empty', null, c.empty || 'Nothing was measured for this chart.'));
        return figure;
    }
    const seen = y => (isNumber(y) && (y > 0 || !c.y.log) ? y : null);
    const data = uPlot.join(shown.map(s => [s.data.map(p => p[0]), s.data.map(p => seen(p[1]))]));
    if (c.numbers) figure.append(numbers(c, shown, nameOf, data));
    draw(
        c,
        shown.map(s => line(s, nameOf(s))),
        data,
        {figure, plot, chips, live, at},
    );
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
