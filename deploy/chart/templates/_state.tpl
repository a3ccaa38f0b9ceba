{{- /* What cannot be meant of the state is said here rather than by a daemon that does not start. */}}
{{- define "pull-patrol.checkState" -}}
{{- $config := .Values.config }}
{{- $state := $config.state | default dict }}
{{- $config_folder := "/etc/pull-patrol" }}
{{- if eq ($state.kind | default "none") "configMap" }}
{{- if not (and $state.namespace $state.name) }}
{{- fail "config.state: kind configMap needs namespace and name" }}
{{- end }}
{{- if not $config.tokenIdKeyFile }}
{{- fail "config.state: kind configMap needs config.tokenIdKeyFile; set tokenIdKey.existingSecret too" }}
{{- end }}
{{- end }}
{{- if eq ($state.kind | default "none") "file" }}
{{- if not (and $state.path (isAbs $state.path)) }}
{{- fail "config.state: kind file needs an absolute path, for example /var/lib/pull-patrol/state" }}
{{- end }}
{{- if and (ne .Values.state.volume "none") (has (dir $state.path) (list "/" $config_folder)) }}
{{- fail (printf "config.state.path: the volume of the state would be mounted over %s; choose a folder of its own" (dir $state.path)) }}
{{- end }}
{{- end }}
{{- if and (eq ($state.kind | default "none") "file") (gt (int .Values.replicas) 1) (ne .Values.state.volume "none") (not .Values.state.existingClaim) }}
{{- fail "replicas above 1 with config.state.kind: file need one volume that all of them share: set state.existingClaim to a claim that several nodes can write (ReadWriteMany), or state.volume: none and extraVolumes, or use config.state.kind: configMap" }}
{{- end }}
{{- if and (eq .Values.state.volume "persistentVolumeClaim") (ne ($state.kind | default "none") "file") }}
{{- fail "state.volume: persistentVolumeClaim belongs to config.state.kind: file" }}
{{- end }}
{{- if and .Values.state.existingClaim (gt (int .Values.shards) 1) }}
{{- fail "state.existingClaim is one claim, and each of several shards needs its own; leave it empty, and the StatefulSet makes them" }}
{{- end }}
{{- if .Values.tokenIdKey.existingSecret }}
{{- if not (and $config.tokenIdKeyFile (isAbs $config.tokenIdKeyFile)) }}
{{- fail "tokenIdKey.existingSecret needs config.tokenIdKeyFile, the absolute path to mount its key at" }}
{{- end }}
{{- if has (dir $config.tokenIdKeyFile) (list "/" $config_folder (dir ($state.path | default "/"))) }}
{{- fail (printf "config.tokenIdKeyFile: the key would be mounted over %s; choose a folder of its own" (dir $config.tokenIdKeyFile)) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Whether the volume of the state is ours to make: it is not where another one is mounted at its folder. */}}
{{- define "pull-patrol.keepsFile" -}}
{{- $state := .Values.config.state | default dict }}
{{- if and (eq ($state.kind | default "none") "file") (ne .Values.state.volume "none") }}
{{- $theirs := dict }}
{{- range .Values.extraVolumeMounts }}
{{- if eq (clean (toString .mountPath)) (dir (toString $state.path)) }}
{{- $_ := set $theirs "mounted" true }}
{{- end }}
{{- end }}
{{- if not $theirs.mounted }}yes{{ end }}
{{- end }}
{{- end }}

{{- /* Whether the file is on a claim. */}}
{{- define "pull-patrol.claimsState" -}}
{{- if and (include "pull-patrol.keepsFile" .) (eq .Values.state.volume "persistentVolumeClaim") }}yes{{ end }}
{{- end }}

{{- define "pull-patrol.claimSpec" -}}
accessModes:
  {{- toYaml .Values.state.accessModes | nindent 2 }}
{{- with .Values.state.storageClassName }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .Values.state.size }}
{{- end }}

{{- /* The first ConfigMap of the state, of each shard, as a list in JSON. */}}
{{- define "pull-patrol.stateNames" -}}
{{- $name := .Values.config.state.name }}
{{- $names := list }}
{{- if gt (int .Values.shards) 1 }}
{{- range $shard := until (int .Values.shards) }}
{{- $names = append $names (printf "%s-shard-%d" $name $shard) }}
{{- end }}
{{- else }}
{{- $names = list $name }}
{{- end }}
{{- $names | toJson }}
{{- end }}

{{- define "pull-patrol.stateClaim" -}}
{{- .Values.state.existingClaim | default (printf "%s-state" (include "pull-patrol.fullname" .)) }}
{{- end }}

{{- define "pull-patrol.stateMounts" -}}
{{- if include "pull-patrol.keepsFile" . }}
- name: state
  mountPath: {{ dir .Values.config.state.path }}
{{- end }}
{{- if .Values.tokenIdKey.existingSecret }}
- name: token-id-key
  mountPath: {{ dir .Values.config.tokenIdKeyFile }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "pull-patrol.stateVolumes" -}}
{{- /* A StatefulSet has the volumes of its claims already. */}}
{{- $claimed := and (include "pull-patrol.claimsState" .) (gt (int .Values.shards) 1) }}
{{- if and (include "pull-patrol.keepsFile" .) (not $claimed) }}
- name: state
  {{- if eq .Values.state.volume "persistentVolumeClaim" }}
  persistentVolumeClaim:
    claimName: {{ include "pull-patrol.stateClaim" . }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .Values.state.size }}
  {{- end }}
{{- end }}
{{- with .Values.tokenIdKey.existingSecret }}
- name: token-id-key
  secret:
    secretName: {{ . }}
    defaultMode: 256
    items:
      - key: {{ $.Values.tokenIdKey.key }}
        path: {{ base $.Values.config.tokenIdKeyFile }}
{{- end }}
{{- end }}
