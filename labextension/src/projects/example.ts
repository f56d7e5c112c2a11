/** The project that the example makes, and the template that it is made from. */
export const EXAMPLE = 'nyc-flights';
