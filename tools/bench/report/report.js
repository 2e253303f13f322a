/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors
 *
 * The page: what was measured and found, the sweep, one step in detail, the machine, the raw
 * JSON. */
'use strict';

/* A part that cannot be drawn says so in its place; the others are drawn all the same. */
function part(title, build, attributes) {
    const section = el('section.part', attributes);
    const fill = () => {
        let content;
        endCharts(section);
        try {
            content = [build()].flat().filter(Boolean);
        } catch (e) {
            const text = 'This part cannot be drawn: ' + e.message;
            content = [el('p.notice.bad', {'data-failed': 'true'}, text)];
        }
        section.hidden = !content.length;
        section.replaceChildren(...(title ? [el('h2', null, title)] : []), ...content);
    };
    fill();
    return {section, fill};
}

function sentences(texts) {
    return texts.length
        ? el(
              'ul.found',
              null,
              texts.map(t => el('li', null, t)),
          )
        : null;
}

function select(id, name, options, value, change) {
    const s = el(
        'select',
        {id},
        options.map(([v, text]) => el('option', {value: v}, text)),
    );
    s.value = value;
    s.addEventListener('change', () => change(s.value));
    return el('span.pick', null, el('label', {for: id}, name), s);
}

/* The step that the details begin with: the knee, else the last one. */
function firstView(run) {
    const values = sweepValues(run);
    const knee = run.sweep && run.targets.map(t => kneeOf(run, t)).find(k => k);
    const value = knee && values.includes(knee.value)
        ? knee.value
        : values.length
          ? values.at(-1)
          : run.targets.find(t => t.steps.length).steps[0].value;
    return {value, op: opNames(run)[0] || 'all'};
}

function picks(run, view, changed) {
    const values = sweepValues(run);
    const ops = opNames(run);
    const how = run.sweep && sweepOf(run.sweep.name);
    const controls = [
        values.length > 1
            ? select(
                  'pick-step',
                  how ? how.label : 'step',
                  values.map((v, i) => [i, how ? how.say(v) : String(v)]),
                  values.indexOf(view.value),
                  i => {
                      view.value = values[i];
                      changed();
                  },
              )
            : null,
        ops.length > 1
            ? select(
                  'pick-op',
                  'operation',
                  ops.map(o => [o, o === 'all' ? 'all together' : o]),
                  view.op,
                  o => {
                      view.op = o;
                      changed();
                  },
              )
            : null,
    ].filter(Boolean);
    return controls.length
        ? el('div.picks', null, el('span', null, 'Shown below:'), controls)
        : null;
}

function header(run) {
    const date = new Date(run.started),
        started =
            Number.isNaN(date.getTime()) || run.started == null
                ? say.text(run.started)
                : date.toLocaleString('en-GB', {
                      timeZone: 'UTC',
                      dateStyle: 'long',
                      timeStyle: 'short',
                  }) + ' UTC';
    const quote = a => (/^[\w@%+=:,./-]+$/.test(a) ? a : "'" + a.replace(/'/g, "'\\''") + "'");
    return el(
        'header',
        null,
        el('h1', null, 'agfs-bench'),
        el('p.dim', null, started),
        run.interrupted
            ? el(
                  'p.notice.bad',
                  null,
                  'This run was interrupted: it shows what had been measured until then.',
              )
            : null,
        run.ended_early
            ? el(
                  'p.notice.bad',
                  null,
                  'This run ended early: a target failed altogether, what follows was not measured.',
              )
            : null,
        el('div.facts', null, workloadFacts(run), machineFacts(run)),
        el(
            'pre.command',
            {'aria-label': 'command line', tabindex: '0'},
            '$ ' +
                list(run.command)
                    .map(a => quote(String(a)))
                    .join(' '),
        ),
    );
}

function rawJson(text) {
    const save = el('button', {type: 'button'}, 'Save as JSON');
    save.addEventListener('click', () => {
        const url = URL.createObjectURL(new Blob([text], {type: 'application/json'}));
        const a = el('a', {href: url, download: 'agfs-bench.json'});
        a.click();
        setTimeout(() => URL.revokeObjectURL(url), 1000);
    });
    const pre = el('pre.raw', {tabindex: '0'});
    const details = el('details', null, el('summary', null, 'Show'), pre);
    details.addEventListener('toggle', () => {
        pre.textContent = details.open ? JSON.stringify(JSON.parse(text), null, 1) : '';
    });
    return [
        el(
            'p.dim',
            null,
            'Everything that this page shows, and the HdrHistogram of each operation.',
        ),
        save,
        details,
    ];
}

function show(run, text) {
    const view = firstView(run);
    const how = run.sweep && sweepOf(run.sweep.name);
    const where = () => (how && isNumber(view.value) ? ' at ' + how.of(view.value) : '');
    const details = [
        part(null, () => [
            el('h2', null, 'Side by side' + where()),
            tiles(run, view),
            sentences(stepFindings(run, view.value)),
        ]),
        part(null, () =>
            el(
                'div.charts',
                null,
                percentileChart(run, view),
                latencyChart(run, view),
                throughputChart(run, view),
            ),
        ),
        part(null, () => percentilesTable(run, view)),
        part(null, () => (opNames(run).length > 1 ? opsTable(run, view) : null)),
        part('Errors', () => errorsTable(run, view)),
        part('Distance to the limit', () => limitsTable(run, view)),
        part('Cost and noise', () => [costTable(run, view), roundsTable(run, view)]),
    ];
    const bar = picks(run, view, () => details.forEach(p => p.fill()));
    const values = sweepValues(run);
    const sweep =
        how && values.length
            ? part('From ' + how.of(values[0]) + ' to ' + how.of(values.at(-1)), () => [
                  ...sayKnees(run).map(text => el('p.notice.knee', null, text)),
                  saturates(run) && !sayKnees(run).length
                      ? el('p.dim', null, 'No knee was found.')
                      : null,
                  sentences(sweepFindings(run)),
                  el('div.charts', null, sweepCharts(run)),
                  el(
                      'details',
                      {open: ''},
                      el('summary', null, 'Numbers of the sweep'),
                      sweepTable(run),
                  ),
              ])
            : null;
    return [
        header(run),
        sweep && sweep.section,
        bar,
        ...details.map(p => p.section),
        part('Raw data', () => rawJson(text), {'data-screen': 'only'}).section,
        el(
            'footer.dim',
            null,
            'Drag over a chart to zoom, double-click to see it all; arrow keys read out values.',
        ),
    ].filter(Boolean);
}

function main() {
    const page = document.getElementById('page');
    const text = document.getElementById('run').textContent;
    try {
        page.append(...show(readRun(text), text));
        followSchemeAndPaper();
        page.dataset.state = 'shown';
    } catch (e) {
        page.replaceChildren(
            el('h1', null, 'agfs-bench'),
            el('p.notice.bad', null, 'This report cannot be shown: ' + e.message + '.'),
            part('Raw data', () => el('pre.raw', {tabindex: '0'}, text.slice(0, 100000))).section,
        );
        page.dataset.state = 'refused';
    }
}

main();
