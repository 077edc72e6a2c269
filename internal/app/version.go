package app

import "runtime/debug"

// version is set by release builds: -ldflags "-X stockroom/internal/app.version=v1.2.3".
var version string

// Version is what was built: the release, else what the Go tool noted of the source.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return info.Main.Version + " " + setting.Value
		}
	}
	return info.Main.Version
}
