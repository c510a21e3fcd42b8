package main

func plot(report) string { return "" }
