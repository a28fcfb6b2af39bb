'use strict';

const byId = (id) => document.getElementById(id);
const charts = new Map();
const pictures = new Map();
let shown = null; // path of the run that is shown

function chosen() {
  return decodeURIComponent(location.hash.slice(1));
}

async function get(url) {
  const r = await fetch(url);
  if (!r.ok) throw new Error((await r.text()).trim());
  return r.json();
}

function list(runs) {
  const ul = byId('runs');
  ul.replaceChildren(...runs.map((run) => {
    const a = document.createElement('a');
    a.href = '#' + encodeURIComponent(run.path);
    a.textContent = run.path === '.' ? run.program : run.path;
    const small = document.createElement('small');
    small.textContent = `${run.status}${run.step > 0 ? ', step ' + run.step : ''}`;
    small.className = run.status;
    a.append(small);
    if (run.path === chosen()) a.setAttribute('aria-current', 'page');
    const li = document.createElement('li');
    li.append(a);
    return li;
  }));
  if (runs.length === 0) {
    const li = document.createElement('li');
    li.textContent = 'No runs in this folder yet.';
    ul.append(li);
  }
}

// keep makes the children of a section those for the names, in order, and calls make for new ones.
function keep(section, known, names, make) {
  for (const [name, item] of known) {
    if (!names.includes(name)) { item.box.remove(); known.delete(name); }
  }
  for (const name of names) {
    if (!known.has(name)) known.set(name, make(name));
    section.append(known.get(name).box);
  }
}

function picture(path) {
  const box = document.createElement('figure');
  const img = document.createElement('img');
  img.alt = path;
  img.addEventListener('load', () => { box.dataset.size = `${img.naturalWidth} x ${img.naturalHeight}`; });
  img.addEventListener('error', () => { delete box.dataset.size; });
  const caption = document.createElement('figcaption');
  caption.textContent = path.startsWith(shown + '/') ? path.slice(shown.length + 1) : path;
  box.append(img, caption);
  return { box, img, changed: 0 };
}

function show(run) {
  if (shown !== run.path) { // charts of another run have other axes
    for (const known of [charts, pictures]) {
      for (const item of known.values()) item.box.remove();
      known.clear();
    }
    shown = run.path;
  }
  byId('title').textContent = run.path === '.' ? run.program : run.path;
  const status = byId('status');
  status.textContent = run.status;
  status.className = 'badge ' + run.status;
  byId('step').textContent = run.step > 0 ? `step ${run.step}` : '';
  const report = byId('report');
  report.hidden = run.report === '';
  report.href = 'files/' + run.report;
  const problem = byId('problem');
  problem.hidden = run.problem === '';
  problem.textContent = run.problem;
  const series = new Map(run.series.map((s) => [s.name, s]));
  keep(byId('charts'), charts, [...series.keys()], (name) => new Chart(name));
  for (const [name, chart] of charts) chart.set(series.get(name).x, series.get(name).y);
  const figures = new Map(run.figures.map((f) => [f.path, f]));
  keep(byId('figures'), pictures, [...figures.keys()], picture);
  for (const [path, p] of pictures) {
    const changed = figures.get(path).changed;
    if (p.changed !== changed) { // only then: an animation would begin anew
      p.changed = changed;
      p.img.src = `files/${path.split('/').map(encodeURIComponent).join('/')}?${changed}`;
    }
  }
  const names = Object.keys(run.metrics).sort();
  const numbers = byId('numbers');
  numbers.hidden = names.length === 0;
  numbers.querySelector('tbody').replaceChildren(...names.map((name) => {
    const tr = document.createElement('tr');
    const value = run.metrics[name];
    for (const text of [name, value === null ? 'not finite' : short(value, 6)]) {
      const td = document.createElement('td');
      td.textContent = text;
      tr.append(td);
    }
    return tr;
  }));
  const config = byId('config');
  config.hidden = run.config === '';
  config.querySelector('pre').textContent = run.config;
  document.title = `${run.program} - ${run.status}`;
}

async function refresh() {
  try {
    const runs = await get('api/runs');
    list(runs);
    if (location.hash === '' && runs.length > 0) location.replace('#' + encodeURIComponent(runs[0].path));
    if (location.hash !== '') show(await get('api/run?path=' + encodeURIComponent(chosen())));
    byId('connection').textContent = '';
  } catch (e) {
    byId('connection').textContent = e instanceof TypeError ? 'The server does not answer; still trying.' : e.message;
  }
}

let timer;
async function loop() {
  clearTimeout(timer);
  await refresh();
  timer = setTimeout(loop, 2000);
}

window.addEventListener('hashchange', loop);
loop();
