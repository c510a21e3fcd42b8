package riverq

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/riverqueue/river"
	"github.com/tidwall/sjson"
)

// A mark is in the metadata of all jobs of one insert. If the answer to the insert was lost, the mark
// tells whether the jobs are there.
type mark string

const markPath = "afterspan.handover"

func newMark() mark { return mark(rand.Text()) }

// on returns job with the mark.
func (m mark) on(job river.InsertManyParams) river.InsertManyParams {
	opts := *job.InsertOpts
	if marked, err := sjson.SetBytes(opts.Metadata, markPath, string(m)); err == nil {
		opts.Metadata = marked
	}
	job.InsertOpts = &opts
	return job
}

// A lister is a client that can look for jobs.
type lister interface {
	JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error)
}

// isIn reports whether a job with the mark is in the database. It cannot be asked of SQLite.
func (m mark) isIn(ctx context.Context, client lister) (found bool, err error) {
	const most = 10_000 // River's maximum. With a small one, PostgreSQL would read the table instead of the index.
	fragment := fmt.Sprintf(`{"afterspan":{"handover":%q}}`, string(m))
	jobs, err := client.JobList(ctx, river.NewJobListParams().Metadata(fragment).First(most))
	if err != nil {
		return false, err
	}
	return len(jobs.Jobs) > 0, nil
}
