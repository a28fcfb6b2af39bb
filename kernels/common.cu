// What every kernel uses. Results never depend on the order in which blocks or warps run: no atomics on floats, and
// sums are taken in an order that follows from the shapes.
