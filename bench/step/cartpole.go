package step

import (
	"github.com/godcem/godcem/dcem"
	"github.com/godcem/godcem/models/control/embed"
	"github.com/godcem/godcem/models/env"
	G "gorgonia.org/gorgonia"
)

// The cartpole's setting: that of the program's defaults, which a test compares.
const (
	Horizon      = 20
	Latent       = 2
	LatentSigma  = 0.5
	CartpoleRate = 5e-4
	stateDim     = 5
	stateDraw    = 1 << 20 // of the program's first update
)

var decoderHidden = []int{256, 256, 256}

// states are B initial states, flat: those of the program's first update with seed 0.
func states(batch int) []float64 { return embed.States(env.Cartpole{}, batch, 0, stateDraw, 1) }

// cartpole is the step of a decoder whose latent space is searched: the loss is the mean cost of the plans found.
func (c Case) cartpole(s *Graph, config dcem.Config) error {
	d, err := embed.NewDecoder(s.G, embed.DecoderConfig{Env: env.Cartpole{}, Latent: c.Dim, Hidden: decoderHidden,
		Horizon: c.Horizon, Dtype: c.Dtype})
	if err != nil {
		return err
	}
	s.Params = d.Params()
	config.Sigma, config.Lower, config.Upper = []float64{LatentSigma}, []float64{-1}, []float64{1}
	x0 := s.Data.Get("x0").Node
	u, err := dcem.Unroll(s.G, func(z *G.Node) (*G.Node, error) { return d.Costs(x0, z) }, config)
	if err != nil {
		return err
	}
	s.Run = u.Run
	plan, err := d.Decode(u.Answer)
	if err != nil {
		return err
	}
	_, cost, err := env.Rollout(env.Cartpole{}, x0, plan, nil, env.Options{})
	if err != nil {
		return err
	}
	s.Loss, err = G.Mean(cost)
	return err
}
