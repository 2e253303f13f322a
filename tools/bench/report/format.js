/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors
 *
 * Numbers as people read them, and elements of the page. Text goes into the page as text only. */
'use strict';

const NONE = '–';

/* el('td.num', {title: 'x'}, 'text', child, ...): an element; null children are left out. */
function el(what, attributes, ...children) {
    const [tag, ...classes] = what.split('.');
    const e = document.createElement(tag);
    e.className = classes.join(' ');
    for (const [k, v] of Object.entries(attributes || {})) {
        if (v != null) e.setAttribute(k, v);
    }
    e.append(...children.flat().filter(c => c != null));
    return e;
}

function isNumber(v) {
    return typeof v === 'number' && Number.isFinite(v);
}

/* Three digits that count, no exponent: 1.23, 12.3, 123, 12,345. */
function digits(v) {
    const a = Math.abs(v);
    const places =
        a === 0 || a >= 100
            ? 0
            : a >= 10
              ? 1
              : a >= 1
                ? 2
                : Math.min(6, 2 - Math.floor(Math.log10(a)));
    const s = v.toFixed(places);
    return a >= 100 ? Number(s).toLocaleString('en-US') : s;
}

function scaled(v, units) {
    const [factor, name] =
        units.find(([f]) => Math.abs(v) >= f * 0.9995) || units[units.length - 1];
    return [v / factor, name];
}

const TIME_UNITS = [
    [1e6, 's'],
    [1e3, 'ms'],
    [1, 'µs'],
    [1e-3, 'ns'],
];
const SIZE_UNITS = [
    [1 << 30, 'GiB'],
    [1 << 20, 'MiB'],
    [1 << 10, 'KiB'],
    [1, 'B'],
];

/* Each turns a number into text with its unit, anything else into a dash. */
const say = {
    us: v =>
        !isNumber(v)
            ? NONE
            : v === 0
              ? '0 µs'
              : scaled(v, TIME_UNITS)
                    .map((x, i) => (i ? x : digits(x)))
                    .join(' '),
    rate: v => (isNumber(v) ? digits(v) + '/s' : NONE),
    count: v => (isNumber(v) ? v.toLocaleString('en-US', {maximumFractionDigits: 0}) : NONE),
    number: v => (isNumber(v) ? digits(v) : NONE),
    bytes: v =>
        !isNumber(v)
            ? NONE
            : v === 0
              ? '0 B'
              : scaled(v, SIZE_UNITS)
                    .map((x, i) => (i ? x : digits(x).replace(/\.0+$/, '')))
                    .join(' '),
    mb: v => (isNumber(v) ? digits(v) + ' MB/s' : NONE),
    percent: v => (isNumber(v) ? digits(100 * v) + ' %' : NONE),
    text: v => (v == null || v === '' ? NONE : String(v)),
};

/* Labels of axes are round numbers: 10 ms, not 10.0 ms. */
const brief = how => v => how(v).replace(/\.0+(?!\d)|(\.\d*?)0+(?!\d)/, '$1');
const plural = (n, one, many) => say.count(n) + ' ' + (n === 1 ? one : many || one + 's');

/* What a sweep varies: its name in words, and how its values are said. */
const SWEEPS = {
    callers: {label: 'callers', say: say.count, of: v => plural(v, 'caller')},
    remotes: {label: 'remotes', say: say.count, of: v => plural(v, 'remote')},
    entries: {label: 'directory entries', say: say.count, of: v => plural(v, 'entry', 'entries')},
    size_bytes: {label: 'size', say: say.bytes, of: say.bytes},
    rate_per_s: {
        label: 'planned calls per second',
        say: say.count,
        of: v => say.count(v) + ' calls/s planned',
    },
};

function sweepOf(name) {
    return (
        SWEEPS[name] || {label: String(name), say: say.number, of: v => name + ' ' + say.number(v)}
    );
}

/* Positions 1, 2, 5, 10 ... inside of [min, max], thinner or denser with the range; for a
 * logarithmic axis. */
function logTicks(min, max) {
    const out = [];
    const decades = Math.log10(max / min);
    const steps =
        decades > 3.5
            ? [1]
            : decades > 0.8
              ? [1, 2, 5]
              : [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9];
    for (let d = Math.floor(Math.log10(min)); d <= Math.ceil(Math.log10(max)); d++) {
        for (const s of steps) {
            const v = s * 10 ** d;
            if (v >= min * 0.9999 && v <= max * 1.0001) out.push(v);
        }
    }
    return out;
}

/* A table: columns [{head, cell(row) -> {text, value, title, node}, num}], rows of anything. */
function table(caption, columns, rows, attributes) {
    const head = el(
        'tr',
        null,
        columns.map(c => el(c.num ? 'th.num' : 'th', {scope: 'col', title: c.title}, c.head)),
    );
    const body = rows.map(r =>
        el(
            'tr',
            null,
            columns.map((c, i) => {
                const v = c.cell(r);
                const tag = i === 0 ? 'th' : 'td';
                return el(
                    c.num ? tag + '.num' : tag,
                    {scope: i === 0 ? 'row' : null, 'data-value': v.value, title: v.title},
                    v.node || v.text,
                );
            }),
        ),
    );
    return el(
        'div.scroll',
        {tabindex: '0', role: 'region', 'aria-label': caption},
        el(
            'table',
            attributes,
            el('caption', null, caption),
            el('thead', null, head),
            el('tbody', null, body),
        ),
    );
}

/* A cell of a number: shown short, its exact value as the title and in data-value. */
function cell(v, how, unit) {
    return {
        text: how(v),
        value: isNumber(v) ? v : null,
        title: isNumber(v) && unit ? v + ' ' + unit : null,
    };
}
