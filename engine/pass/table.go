package pass

// Table lists the passes in the order in which they run.
var Table = []Pass{
	{"cse", "nodes that compute the same are computed once", cse},
	{"dead", "what nothing needs is not computed; numbers become dense", dead},
}

// Order gives the reasons for the table's order.
var Order = []Constraint{
	{"cse", "dead", "merged nodes leave operands that nothing uses"},
}
