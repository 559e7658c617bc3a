{{/*
What was rendered, as text. It is never parsed: Helm would write large numbers as floats, which the filter's configuration does not take.
*/}}
{{- define "weir.rendered" -}}
{{- if .Values.rendered -}}
{{- .Values.rendered -}}
{{- else -}}
{{- range $path, $_ := .Files.Glob "files/*.yaml" }}
---
{{ $.Files.Get $path }}
{{- end -}}
{{- end -}}
{{- end -}}
