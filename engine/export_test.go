package engine

func init() { verify = true }
