'use strict';

// A chart draws one series on a canvas: axes with round ticks, a linear or logarithmic ordinate, the value under the
// pointer. Values that are null are gaps.
class Chart {
  constructor(name) {
    this.name = name;
    this.x = [];
    this.y = [];
    this.at = null;
    this.box = document.createElement('figure');
    this.box.dataset.series = name;
    const head = document.createElement('div');
    head.className = 'head';
    const title = document.createElement('h3');
    title.textContent = name;
    const label = document.createElement('label');
    this.log = document.createElement('input');
    this.log.type = 'checkbox';
    this.log.addEventListener('change', () => this.draw());
    label.append(this.log, ' log');
    head.append(title, label);
    this.canvas = document.createElement('canvas');
    this.canvas.setAttribute('role', 'img');
    this.note = document.createElement('figcaption');
    this.box.append(head, this.canvas, this.note);
    this.canvas.addEventListener('pointermove', (e) => { this.at = e.offsetX; this.draw(); });
    this.canvas.addEventListener('pointerleave', () => { this.at = null; this.draw(); });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  set(x, y) {
    this.x = x;
    this.y = y;
    this.draw();
  }

  // scale maps values to 0..1.
  scale() {
    const log = this.log.checked;
    const seen = this.y.filter((v) => v !== null && (!log || v > 0));
    if (seen.length === 0) return null;
    let lo = Infinity, hi = -Infinity;
    for (const v of seen) { lo = Math.min(lo, v); hi = Math.max(hi, v); }
    const f = log ? Math.log10 : (v) => v;
    let a = f(lo), b = f(hi);
    if (!(b > a)) { const pad = Math.abs(a) * 0.1 || 1; a -= pad; b += pad; }
    const pad = (b - a) * 0.05;
    a -= pad; b += pad;
    return { a, b, log, of: (v) => (v === null || (log && v <= 0)) ? null : (f(v) - a) / (b - a) };
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const w = this.canvas.clientWidth, h = this.canvas.clientHeight;
    if (w === 0 || h === 0) return;
    this.canvas.width = w * ratio;
    this.canvas.height = h * ratio;
    const c = this.canvas.getContext('2d');
    c.scale(ratio, ratio);
    c.clearRect(0, 0, w, h);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const s = this.scale();
    if (s === null || this.x.length === 0) {
      this.note.textContent = 'no value that can be shown';
      return;
    }
    const left = 56, right = 10, top = 8, bottom = 24;
    const x0 = this.x[0], x1 = Math.max(this.x[this.x.length - 1], x0 + 1);
    const px = (v) => left + (v - x0) / (x1 - x0) * (w - left - right);
    const py = (v) => top + (1 - v) * (h - top - bottom);
    c.font = '11px system-ui, sans-serif';
    c.lineWidth = 1;
    for (const t of ticks(s.a, s.b, 5)) {
      const y = py((t - s.a) / (s.b - s.a));
      c.strokeStyle = colour('--line');
      c.beginPath(); c.moveTo(left, y); c.lineTo(w - right, y); c.stroke();
      c.fillStyle = colour('--dim');
      c.textAlign = 'right'; c.textBaseline = 'middle';
      c.fillText(short(s.log ? 10 ** t : t), left - 6, y);
    }
    for (const t of ticks(x0, x1, 6)) {
      c.textAlign = 'center'; c.textBaseline = 'top';
      c.fillText(short(t), px(t), h - bottom + 7);
    }
    c.strokeStyle = colour('--accent');
    c.lineWidth = 1.5;
    c.beginPath();
    let pen = false;
    for (let i = 0; i < this.x.length; i++) {
      const v = s.of(this.y[i]);
      if (v === null) { pen = false; continue; }
      if (pen) c.lineTo(px(this.x[i]), py(v)); else c.moveTo(px(this.x[i]), py(v));
      pen = true;
    }
    c.stroke();
    let i = this.x.length - 1;
    if (this.at !== null) {
      for (let j = 0; j < this.x.length; j++) if (Math.abs(px(this.x[j]) - this.at) < Math.abs(px(this.x[i]) - this.at)) i = j;
    }
    const v = s.of(this.y[i]);
    if (v !== null) {
      c.fillStyle = colour('--accent');
      c.beginPath(); c.arc(px(this.x[i]), py(v), 3, 0, 7); c.fill();
    }
    this.note.textContent = `${this.y[i] === null ? 'not finite' : short(this.y[i], 5)} at ${this.x[i]}`;
    this.canvas.setAttribute('aria-label', `${this.name}: ${this.note.textContent}`);
  }
}

// ticks are about n round numbers between a and b.
function ticks(a, b, n) {
  const raw = (b - a) / n, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((v) => v >= raw);
  const all = [];
  for (let i = Math.ceil(a / step); i * step <= b; i++) all.push(i * step);
  return all;
}

// short is a number in few characters.
function short(v, digits = 3) {
  if (v === 0) return '0';
  const size = Math.abs(v);
  if (size >= 1e5 || size < 1e-3) return v.toExponential(Math.max(0, digits - 2)).replace('e+', 'e');
  return String(Number(v.toPrecision(digits)));
}
