// Package env has controlled systems to plan for: their dynamics and costs as graph nodes and in plain Go, rollouts of
// them, and pictures.
package env
