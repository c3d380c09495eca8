{{/* The rules of what reaches beyond the chart: artifacts elsewhere, and fields that are passed on. _validate.tpl applies them. */}}
{{/* (list $ track config): what the server would refuse to fetch is refused here, where it is written. */}}
{{- define "model-manager.validateArtifacts" -}}
{{- $track := index . 1 }}
{{- $config := index . 2 }}
{{- $stores := (include "model-manager.settings" (list (first .) $config) | fromJson).artifactStores }}
{{- range $model, $entry := $config.models }}
{{- range $version, $wanted := $entry.versions }}
{{- $scheme := regexFind "^[A-Za-z][A-Za-z0-9+.-]*://" $wanted.artifact | lower }}
{{- if not (has $scheme (list "" "file://")) }}
{{- $where := printf "tracks.%s.models.%s.versions.%s.artifact: %s" $track $model $version $wanted.artifact }}
{{- if not (has $scheme (list "s3://" "gs://" "az://" "https://" "http://")) }}
{{- fail (printf "%s cannot be fetched: this version reaches s3://, gs://, az://, https:// and http://; anything else, mount by artifacts.volumes or extraVolumes" $where) }}
{{- end }}
{{- $uri := regexReplaceAll "^([^/]*//)[^/]*@" (lower $wanted.artifact) "${1}" }}
{{- $below := false }}
{{- range splitList "," $stores }}
{{- $place := trim . | lower }}
{{- if and $place (or (eq $place $scheme) (hasPrefix (printf "%s/" (trimSuffix "/" $place)) (printf "%s/" $uri))) }}{{ $below = true }}{{ end }}
{{- end }}
{{- if not $below }}
{{- fail (printf "%s is below none of settings.artifactStores (%s), and would not be fetched: name its place there" $where ($stores | default "empty")) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "model-manager.validateExtras" -}}
{{- range .Values.extraEnv }}
{{- if hasPrefix "MODEL_MANAGER_" .name }}
{{- fail (printf "extraEnv: %s is the server's own: set settings.%s" .name (trimPrefix "MODEL_MANAGER_" .name | lower | camelcase | untitle)) }}
{{- end }}
{{- if and $.Values.tracing.enabled (or (eq .name "POD_NAME") (hasPrefix "OTEL_EXPORTER_OTLP_" .name) (has .name (list "OTEL_TRACES_SAMPLER" "OTEL_TRACES_SAMPLER_ARG" "OTEL_SERVICE_NAME" "OTEL_RESOURCE_ATTRIBUTES"))) }}
{{- fail (printf "extraEnv: %s is set by tracing.enabled: turn it off, and set all of OpenTelemetry's variables here" .name) }}
{{- end }}
{{- end }}
{{- with .Values.service }}
{{- if and .loadBalancerIP (ne .type "LoadBalancer") }}
{{- fail (printf "service.loadBalancerIP has no effect with service.type: %s: set it to LoadBalancer" .type) }}
{{- end }}
{{- if and .externalTrafficPolicy (eq .type "ClusterIP") }}
{{- fail "service.externalTrafficPolicy has no effect with service.type: ClusterIP: set it to LoadBalancer or NodePort" }}
{{- end }}
{{- end }}
{{- with .Values.ingress }}
{{- if and .tls .tlsSecretName }}
{{- fail "ingress: tls and tlsSecretName both name certificates: keep tlsSecretName for all hosts, or tls for some each" }}
{{- end }}
{{- range .tls }}
{{- range .hosts }}
{{- if not (has . $.Values.ingress.hosts) }}
{{- fail (printf "ingress.tls: %s is none of ingress.hosts (%s)" . (join ", " $.Values.ingress.hosts)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name := list "podMonitor" "serviceMonitor" }}
{{- with get $.Values.monitoring $name }}
{{- if .scrapeTimeout }}
{{- if gt (include "model-manager.milliseconds" .scrapeTimeout | int) (include "model-manager.milliseconds" .interval | int) }}
{{- fail (printf "monitoring.%s.scrapeTimeout: %s is longer than interval (%s), which Prometheus refuses" $name .scrapeTimeout .interval) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if and .enabled (not .targetCPUPercent) (not .metrics) }}
{{- fail "autoscaling.targetCPUPercent: with 0 and no autoscaling.metrics nothing would count the pods" }}
{{- end }}
{{- end }}
{{- end }}
