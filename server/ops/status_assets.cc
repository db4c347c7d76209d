// The status page's style sheet and script.
#include "server/ops/status_page.h"

namespace restante::ops {

const char kStatusCss[] = R"css(:root {
  color-scheme: light dark;
  --ground: #fcfcfb; --card: #ffffff; --line: #d9d8d4; --text: #1d1d1b; --quiet: #5f5e5a;
  --stored: #2a78d6; --suppressed: #1baf7a; --refused: #eb6834; --aborted: #8a8984;
  --fine: #2a78d6; --warning: #d98200; --critical: #c92a2a; --track: #e8e7e3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #1a1a19; --card: #232322; --line: #3c3b38; --text: #f1f0ec; --quiet: #a9a8a3;
    --stored: #3987e5; --suppressed: #199e70; --refused: #d95926; --aborted: #8f8e89;
    --fine: #3987e5; --warning: #e0a030; --critical: #ff6b6b; --track: #3a3936;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.45 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; display: grid; gap: 1rem; grid-template-columns: 100%; }
h1 { margin: 0; font-size: 1.5rem; }
h2 { margin: 0 0 .6rem; font-size: 1.05rem; }
header p, footer { margin: .2rem 0 0; color: var(--quiet); font-size: .9rem; }
a { color: inherit; margin-right: 1rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; overflow-x: auto; }
section > p { margin: .4rem 0 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .75rem; margin: 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .6rem .8rem; }
.tile dt { color: var(--quiet); font-size: .85rem; }
.tile dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.problems { list-style: none; margin: 0; padding: 0; color: var(--critical); font-weight: 600; }
strong { color: var(--critical); }
.meter { display: block; width: 100%; min-width: 4rem; height: .6rem; border-radius: 4px; }
.meter .track { fill: var(--track); }
.fine { fill: var(--fine); } .warning { fill: var(--warning); } .critical { fill: var(--critical); }
.rates { display: block; width: 100%; height: auto; }
.rates text { fill: var(--quiet); font-size: 11px; }
.rates .grid { stroke: var(--line); }
.rates .hover { fill: transparent; }
.rates g:hover .hover { fill: var(--track); }
.stored { fill: var(--stored); background: var(--stored); }
.suppressed { fill: var(--suppressed); background: var(--suppressed); }
.refused { fill: var(--refused); background: var(--refused); }
.aborted { fill: var(--aborted); background: var(--aborted); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; list-style: none; margin: .6rem 0 0; padding: 0; }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin-right: .3rem; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .35rem .6rem .35rem 0; border-top: 1px solid var(--line); vertical-align: top; }
thead th, tbody tr:first-child > * { border-top: 0; }
.refusals td:first-child { white-space: nowrap; }
.refusals thead th { color: var(--quiet); font-weight: 500; }
.fills th, td { font-weight: 400; }
.fills th { overflow-wrap: anywhere; }
.fills td:nth-child(2) { width: 35%; vertical-align: middle; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
summary { cursor: pointer; margin-top: .6rem; color: var(--quiet); }
@media (max-width: 40rem) {
  .refusals, .refusals tbody, .refusals tr, .refusals td { display: block; }
  .refusals thead { display: none; }
  .refusals tr { border-top: 1px solid var(--line); padding: .4rem 0; }
  .refusals tr:first-child { border-top: 0; }
  .refusals td { border: 0; padding: 0; overflow-wrap: anywhere; }
  .fills td:nth-child(2) { display: none; }
  .rates text { font-size: 20px; }
}
)css";

const char kStatusJs[] = R"js('use strict'
// Fetches the page again and puts what is new in the place of what is there.
const every = 5000
async function update() {
  try {
    const response = await fetch('/', { cache: 'no-store', credentials: 'same-origin' })
    if (!response.ok) throw new Error(`status ${response.status}`)
    const page = new DOMParser().parseFromString(await response.text(), 'text/html')
    const fresh = page.getElementById('status')
    const stale = document.getElementById('status')
    const open = [...stale.querySelectorAll('details')].map((details) => details.open)
    fresh.querySelectorAll('details').forEach((details, i) => { details.open = open[i] })
    document.title = page.title
    stale.replaceWith(document.adoptNode(fresh))
  } catch (error) {
    document.title = 'Restante (not reached)'
  }
}
setInterval(() => { if (!document.hidden) update() }, every)
)js";

}  // namespace restante::ops
