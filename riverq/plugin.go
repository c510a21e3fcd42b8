package riverq

import (
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/afterspan/afterspan/core"
)

// A Plugin runs a chain of middlewares around the jobs of a River client. Make one with [New], and
// put it into [river.Config.Plugins]: it is a middleware of River, around inserts and runs, and a
// hook that sees River's timeout. In Config.Middleware alone, it reports a timeout as a failure; in
// both, it runs the chain twice.
//
// One Plugin may serve several clients. Its methods are called by River.
type Plugin struct {
	river.PluginDefaults
	options
	chain *core.Chain
}

var (
	_ rivertype.Plugin              = (*Plugin)(nil)
	_ rivertype.JobInsertMiddleware = (*Plugin)(nil)
	_ rivertype.WorkerMiddleware    = (*Plugin)(nil)
	_ rivertype.HookWorkEnd         = (*Plugin)(nil)
)

// New returns a plugin with the middlewares of [WithMiddleware]. Without any it only stores and
// restores traces and attributes.
func New(opts ...Option) *Plugin {
	o := newOptions("New", opts, "WithMiddleware", "WithBatchSpawns")
	return &Plugin{options: o, chain: core.NewChain(o.middlewares...)}
}
