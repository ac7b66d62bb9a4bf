package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "tradingbot/bench/peers/go/api/v1"
)

const (
	minutesADay  = 24 * 60
	minutesAWeek = 7 * minutesADay
)

func windowForms(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	for i, window := range spec.Schedule.Windows {
		item := schedulePath.Child("windows").Index(i)
		if !r.soundItem(item) {
			continue
		}
		for place, day := range window.Days {
			if slices.Contains(window.Days[:place], day) {
				r.add(field.Duplicate(item.Child("days").Index(place), day), item.String())
			}
		}
		if *window.Start == *window.End {
			r.invalid(item.Child("end"), *window.End, "must differ from start; for a bot that always"+
				" runs leave windows out", item.String())
		}
	}
}

// span is a part of the week that a window covers, in minutes from Monday 00:00.
type span struct{ begin, end, window int }

func windowOverlaps(r *report, spec *v1.TradingBotSpec, _ time.Time) {
	var spans []span
	for i, window := range spec.Schedule.Windows {
		spans = append(spans, spansOf(i, window)...)
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.window, b.window))
	})
	var pairs [][2]int
	reach, owner := 0, -1
	for _, one := range spans {
		if one.begin < reach && one.window != owner {
			pairs = append(pairs, [2]int{min(owner, one.window), max(owner, one.window)})
		}
		if one.end > reach {
			reach, owner = one.end, one.window
		}
	}
	slices.SortFunc(pairs, func(a, b [2]int) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	for _, pair := range slices.Compact(pairs) {
		window := spec.Schedule.Windows[pair[1]]
		r.invalid(schedulePath.Child("windows").Index(pair[1]), *window.Start+"-"+*window.End,
			fmt.Sprintf("overlaps windows[%d]", pair[0]), "spec.schedule.windows")
	}
}

// spansOf is the minutes of the week that a window covers. It belongs to the day it starts on, and
// runs past midnight if its end is before its start.
func spansOf(index int, window v1.Window) []span {
	var spans []span
	first, last := minuteOfDay(*window.Start), minuteOfDay(*window.End)
	length := (last - first + minutesADay) % minutesADay
	if length == 0 {
		return nil
	}
	for place, day := range window.Days {
		if slices.Contains(window.Days[:place], day) {
			continue
		}
		begin := slices.Index(allDays, day)*minutesADay + first
		spans = append(spans, span{begin, min(begin+length, minutesAWeek), index})
		if begin+length > minutesAWeek {
			spans = append(spans, span{0, begin + length - minutesAWeek, index})
		}
	}
	return spans
}
