package main

func report(path string) error { return nil }
