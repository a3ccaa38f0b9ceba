{{- /* Not empty where several replicas choose the one that probes. */}}
{{- define "pull-patrol.elects" -}}
{{- $election := .Values.config.leaderElection | default dict }}
{{- if and (gt (int .Values.replicas) 1) (gt (int .Values.shards) 1) }}
{{- fail "replicas and shards above 1 exclude each other: a shard that dies is started again, and the others go on" }}
{{- end }}
{{- if and $election.enabled (gt (int .Values.shards) 1) }}
{{- fail "config.leaderElection is for replicas; with shards each pod has its own logins" }}
{{- end }}
{{- if $election.enabled }}yes{{ else if gt (int .Values.replicas) 1 }}
{{- fail "replicas above 1 need config.leaderElection.enabled: without an election each of them would ask every login" }}
{{- end }}
{{- end }}

{{- /* A probe of the kubelet: where the web port has TLS or users, it goes to the port of health alone. */}}
{{- define "pull-patrol.probe" -}}
{{- $probe := deepCopy .probe }}
{{- if and .root.Values.web.existingSecret $probe.httpGet }}
{{- if eq (toString $probe.httpGet.port) "http" }}
{{- $_ := set $probe.httpGet "port" "health" }}
{{- end }}
{{- end }}
{{- toYaml $probe }}
{{- end }}
