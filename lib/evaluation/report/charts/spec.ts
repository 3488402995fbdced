/**
 * A Vega-Lite specification. Not its own type: vega-lite is an optional peer, and what this package declares
 * has to compile without it.
 */
export type ChartSpec = object;
