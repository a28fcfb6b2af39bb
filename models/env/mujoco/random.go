package mujoco

// randomState is numpy's RandomState: the Mersenne Twister MT19937 (M. Matsumoto, T. Nishimura, ACM TOMACS 8, 1998),
// with its uniform numbers of 53 bits.
type randomState struct {
	state [624]uint32
	at    int
}

// newRandomState is RandomState(seed), and RandomState([low, high]), the seed's two halves, where it has more than 32
// bits.
func newRandomState(seed uint64) *randomState {
	r := &randomState{at: 624}
	low, high := uint32(seed), uint32(seed>>32)
	if high == 0 {
		r.fill(low)
		return r
	}
	key, s := [2]uint32{low, high}, &r.state
	r.fill(19650218)
	i, j := 1, 0
	step := func() { // to the next word; the first mirrors the last
		if i++; i == len(s) {
			s[0], i = s[len(s)-1], 1
		}
	}
	for range len(s) {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1664525) + key[j] + uint32(j)
		j = (j + 1) % len(key)
		step()
	}
	for range len(s) - 1 {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1566083941) - uint32(i)
		step()
	}
	s[0] = 1 << 31
	return r
}

func (r *randomState) fill(seed uint32) {
	r.state[0] = seed
	for i := 1; i < len(r.state); i++ {
		r.state[i] = 1812433253*(r.state[i-1]^r.state[i-1]>>30) + uint32(i)
	}
}

func (r *randomState) next() uint32 {
	if r.at == len(r.state) {
		s := &r.state
		for i := range s {
			y := s[i]&0x80000000 | s[(i+1)%624]&0x7fffffff
			s[i] = s[(i+397)%624] ^ y>>1 ^ (y&1)*0x9908b0df
		}
		r.at = 0
	}
	y := r.state[r.at]
	r.at++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// uniform is a number in [low, high). The conversions keep multiplication and addition apart, on every processor.
func (r *randomState) uniform(low, high float64) float64 {
	a, b := r.next()>>5, r.next()>>6
	u := (float64(a)*67108864 + float64(b)) / 9007199254740992 // exact: below 2^53 over 2^53
	return low + float64((high-low)*u)
}
