package checkpoint

import "errors"

// ErrRestart is what a source returns from Stream when it can go on only from a
// position that is stored, not from what it has yielded: store that, and call
// Stream again with it. Nothing is wrong, and nothing is lost.
var ErrRestart = errors.New("the source has to be read anew from the stored position")
