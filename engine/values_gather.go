package engine

import (
	"github.com/godcem/godcem/engine/backend"
	"github.com/godcem/godcem/engine/plan"
)

// gathering is the outputs that every run copies from a device whose memory the host cannot address: all with one wait,
// where the device can.
type gathering struct {
	bufs  []plan.BufID
	hosts []any
}

func (c *compiled) bindGather() {
	if _, ok := c.exec.(backend.Gatherer); !ok || c.near || c.blind {
		return
	}
	for i := range c.outputs {
		o := &c.outputs[i]
		if o.gathered = o.bind && !o.late && !o.early && o.host != nil && o.memory == nil; o.gathered {
			c.gather.bufs, c.gather.hosts = append(c.gather.bufs, o.buf), append(c.gather.hosts, o.host)
		}
	}
}

// read copies them.
func (g *gathering) read(exec backend.Executable) error {
	if len(g.bufs) == 0 {
		return nil
	}
	return exec.(backend.Gatherer).Gather(g.bufs, g.hosts)
}
