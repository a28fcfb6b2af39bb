// Package spen is the program of that name: structured prediction, where labels depend on each other. An energy
// network over all labels is trained through DCEM and through unrolled gradient descent, beside a feed-forward net of
// equal size that predicts each label by itself.
package spen

// Kind is the program's name, in its checkpoints too.
const Kind = "spen"
