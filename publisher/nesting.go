package publisher

import (
	"encoding"
	"encoding/json"
	"iter"
	"maps"
	"reflect"
	"slices"
)

// maxSteps is how many maps, slices, structs, pointers and interfaces may be inside one another in
// a value for package json. An event of maxDepth levels has fewer. Package json itself goes on
// until the stack overflows, which ends the process.
const maxSteps = 10 * maxDepth

// checkNesting returns an error if v is too deep for package json, or contains itself.
func checkNesting(v any) error {
	var w walk
	return w.into(v)
}

// checkNesting is checkNesting for the fields of the event that can be deep.
func (e Event) checkNesting() error {
	for _, block := range e.ContentBlocks {
		if err := checkNesting(block); err != nil {
			return err
		}
	}
	if err := checkNesting(e.Data); err != nil {
		return err
	}
	return checkNesting(e.Metadata)
}

// walk is the way from a value to one inside it.
type walk struct {
	steps int
	late  []place // of the steps after the first maxDepth, which few values have
}

// A place is a map, slice or pointer. Other values have the zero place.
type place struct {
	kind reflect.Type
	addr uintptr
	size int
}

// into visits v and everything inside it that package json would visit. It knows the common types,
// which spares them reflection.
func (w *walk) into(v any) error {
	switch v := v.(type) {
	case nil, bool, string, int, int64, float64:
		return nil
	case map[string]any:
		return visit(w, reflect.ValueOf(v), maps.Values(v), w.into)
	case []any:
		return visit(w, reflect.ValueOf(v), slices.Values(v), w.into)
	default:
		return w.reflect(reflect.ValueOf(v))
	}
}

func (w *walk) reflect(v reflect.Value) error {
	if isFlat(v.Type()) || marshalsItself(v) {
		return nil
	}
	return visit(w, v, children(v), w.reflect)
}

func visit[T any](w *walk, v reflect.Value, inside iter.Seq[T], into func(T) error) error {
	w.steps++
	if w.steps > maxDepth {
		w.late = append(w.late, placeOf(v))
	}
	if w.steps > maxSteps {
		return w.tooDeep()
	}
	for child := range inside {
		if err := into(child); err != nil {
			return err
		}
	}
	if w.steps > maxDepth {
		w.late = w.late[:len(w.late)-1]
	}
	w.steps--
	return nil
}

// tooDeep returns the error of a walk with too many steps. If it came to a place twice, the value
// contains itself.
func (w *walk) tooDeep() error {
	seen := make(map[place]bool)
	for _, p := range w.late {
		if seen[p] {
			return &json.UnsupportedValueError{Str: "it contains itself"}
		}
		seen[p] = p.addr != 0
	}
	return errTooDeep
}

func placeOf(v reflect.Value) place {
	switch v.Kind() {
	case reflect.Map, reflect.Pointer:
		return place{kind: v.Type(), addr: v.Pointer()}
	case reflect.Slice:
		return place{kind: v.Type(), addr: v.Pointer(), size: v.Len()}
	default:
		return place{}
	}
}

// children returns the values directly inside v, except for the keys of maps.
func children(v reflect.Value) iter.Seq[reflect.Value] {
	return func(yield func(reflect.Value) bool) {
		switch v.Kind() {
		case reflect.Interface, reflect.Pointer:
			if !v.IsNil() {
				yield(v.Elem())
			}
		case reflect.Map:
			for it := v.MapRange(); it.Next() && yield(it.Value()); {
			}
		case reflect.Slice, reflect.Array:
			for i := 0; i < v.Len() && yield(v.Index(i)); i++ {
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if isMarshalled(v.Type().Field(i)) && !yield(v.Field(i)) {
					return
				}
			}
		}
	}
}

// isFlat reports whether values of type t have nothing inside that has anything inside.
func isFlat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array:
		return isScalar(t.Elem())
	default:
		return isScalar(t)
	}
}

func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array, reflect.Struct,
		reflect.Interface, reflect.Pointer:
		return false
	default:
		return true
	}
}

// isMarshalled reports whether package json may read the field. Others may be changed while it
// runs.
func isMarshalled(f reflect.StructField) bool {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	promotes := f.Anonymous && t.Kind() == reflect.Struct
	return (f.IsExported() || promotes) && f.Tag.Get("json") != "-"
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// marshalsItself reports whether package json calls a method of v instead of following it.
func marshalsItself(v reflect.Value) bool {
	t := v.Type()
	if t.Implements(jsonMarshaler) || t.Implements(textMarshaler) {
		return true
	}
	p := reflect.PointerTo(t)
	return v.CanAddr() && (p.Implements(jsonMarshaler) || p.Implements(textMarshaler))
}
