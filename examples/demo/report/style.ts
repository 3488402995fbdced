/** The look of the report, light and dark; colours stay apart for every kind of colour vision (Okabe and Ito). */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b1f24; --faint: #5b6470; --line: #d9dee5;
  --before: #8a94a3; --after: #0072b2; --right: #007a56; --wrong: #b8420a; --wash: #e8f1f8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1b2129; --ink: #e9edf2; --faint: #a3adba; --line: #333c48;
    --before: #7d8896; --after: #58b4ec; --right: #3ccf9c; --wrong: #ff9763; --wash: #1d2c3a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2.1rem; line-height: 1.15; margin: 0 0 .5rem; letter-spacing: -.02em; }
h2 { font-size: 1.35rem; margin: 3rem 0 .6rem; letter-spacing: -.01em; }
h3 { font-size: 1rem; margin: 0 0 .4rem; }
p { margin: .4rem 0; max-width: 50rem; }
.lead { font-size: 1.12rem; color: var(--faint); }
.faint, figcaption { color: var(--faint); font-size: .9rem; }
.warning { background: var(--card); border-left: 5px solid var(--wrong); padding: .8rem 1rem; font-weight: 600; }
.row { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); margin: 1.2rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .8rem; padding: 1rem 1.1rem; }
.score b { display: block; font-size: 2.3rem; line-height: 1.1; letter-spacing: -.02em; }
.meter { position: relative; height: .6rem; border-radius: .3rem; background: var(--line); margin: .7rem 0 .5rem; }
.meter i { position: absolute; inset: 0 auto 0 0; border-radius: .3rem; background: var(--after); }
.meter u { position: absolute; top: -.25rem; bottom: -.25rem; width: 2px; background: var(--ink); }
.steps { counter-reset: step; }
.steps .card::before { counter-increment: step; content: counter(step); display: inline-flex; width: 1.7rem; height: 1.7rem;
  border-radius: 50%; background: var(--after); color: var(--card); font-weight: 700; align-items: center;
  justify-content: center; margin-bottom: .5rem; }
.faces { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(12.2rem, 1fr)); margin: 1.2rem 0; }
.face { padding: 0; overflow: hidden; }
.face > img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; background: var(--line); }
.face > div { padding: .8rem .95rem 1rem; }
.answer { border-top: 1px solid var(--line); padding-top: .55rem; margin-top: .6rem; font-size: .9rem; }
.answer:first-child { border-top: 0; padding-top: 0; margin-top: 0; }
.answer q { font-weight: 650; }
.bar { display: grid; grid-template-columns: 5.4rem 1fr 2.7rem; align-items: center; gap: .4rem; font-size: .78rem;
  color: var(--faint); }
.bar span { height: .42rem; border-radius: .21rem; background: var(--line); overflow: hidden; }
.bar span i { display: block; height: 100%; background: var(--before); }
.bar.best span i { background: var(--after); }
.bar em { font-style: normal; text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.right { color: var(--right); font-weight: 650; }
.wrong { color: var(--wrong); font-weight: 650; }
.groups { align-items: start; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; background: var(--card); border: 1px solid var(--line);
  border-radius: .8rem; font-size: .95rem; }
th, td { padding: .5rem .8rem; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--faint); font-size: .85rem; }
tr:last-child td { border-bottom: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 0; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
svg .faint { fill: var(--faint); font-size: 12px; }
svg .title { font-weight: 650; font-size: 13px; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--faint); stroke-width: 1; }
svg .guide { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 4 4; }
svg .raw { fill: none; stroke: var(--after); stroke-width: 1; opacity: .3; }
svg .smooth { fill: none; stroke: var(--after); stroke-width: 2.5; stroke-linejoin: round; }
svg .fill { fill: var(--after); opacity: .75; }
svg .dot { fill: var(--after); }
svg .interval { stroke: var(--after); stroke-width: 2; opacity: .55; }
.pictures { display: grid; gap: .5rem; grid-template-columns: repeat(auto-fill, minmax(5.4rem, 1fr)); margin: 1rem 0; }
.picture { border: 2px solid transparent; border-radius: .5rem; background: var(--card); overflow: hidden;
  text-align: center; font-size: .74rem; font-weight: 650; }
.picture img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; }
.picture div { display: flex; justify-content: space-evenly; padding: .1rem 0 .15rem; }
.picture.has-wrong { border-color: var(--wrong); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; white-space: pre-wrap;
  overflow-wrap: anywhere;
  font-size: .82rem; line-height: 1.6; }
li { margin: .3rem 0; max-width: 50rem; }
@media print { body { background: #fff; } .card, table { break-inside: avoid; } }
`;
