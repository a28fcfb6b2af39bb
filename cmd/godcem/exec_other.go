//go:build !unix

package main

func become(string) error { return errNoExec }
