//go:build !afterspan_plain

package core

const plain = false
