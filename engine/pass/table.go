package pass

// Table lists the passes in the order in which they run.
var Table = []Pass{
	{"canonicalise", "operands in order, chains of movement merged, repeated values computed once", canonicalise},
	{"fold", "what depends on constants alone is a constant", fold},
	{"simplify", "identities of arithmetic that hold for every operand; sums of sums become one", simplify},
	{"pads", "sums of pads, the gradients of slices, become concats", pads},
	{"dot", "transposes become flags of products; a batch that shares an operand is one product", dots},
	{"cse", "nodes that compute the same are computed once", cse},
	{"dead", "what nothing needs is not computed; numbers become dense", dead},
}

// Order gives the reasons for the table's order.
var Order = []Constraint{
	{"canonicalise", "fold", "arithmetic on repeated constants is arithmetic on scalars, which folds at any size"},
	{"fold", "simplify", "identities look for constants"},
	{"simplify", "pads", "x + -y is a difference before sums are taken for chains"},
	{"canonicalise", "dot", "a transpose of a transpose is none; a repetition stands next to its product"},
	{"canonicalise", "cse", "x+y and y+x are equal once their operands are in order"},
	{"simplify", "cse", "rules add constants of their own, which may exist already"},
	{"pads", "cse", "gaps are zeros, each made anew"},
	{"cse", "dead", "merged nodes leave operands that nothing uses"},
}
