{{/*
Values that other charts have, by names that are others here: each is refused with what to write. The schema knows them
too, as deprecated, or it would only say that they are not allowed.
*/}}
{{- define "model-manager.hints" -}}
affinityPreset: affinity, or topologySpread
autoscaling.targetCPUUtilizationPercentage: autoscaling.targetCPUPercent
autoscaling.targetMemoryUtilizationPercentage: autoscaling.metrics, with a metric of type Resource
command: args, which come after `model-manager serve`
commonLabels: podLabels
containerSecurityContext: securityContext; the rest of it is always the strictest
env: extraEnv, or settings for what the server reads itself
envFrom: extraEnvFrom, or secrets
existingConfigMap: tracks.<track>.existingConfigMap
extraArgs: args
extraDeploy: extraObjects
extraEnvVars: extraEnv, or settings for what the server reads itself
extraInitContainers: initContainers
extraManifests: extraObjects
hpa: autoscaling
image.name: image.repository
image.registry: image.repository, which begins with the registry
imagePullSecrets: image.pullSecrets, a list of names
ingress.ingressClassName: ingress.className
lifecycle: shutdown.preStopSleepS
livenessProbe: probes.liveness
metrics: monitoring
models: tracks.<track>.models
pdb: podDisruptionBudget
podMonitor: monitoring.podMonitor
podSecurityContext: securityContext
prometheusRule: monitoring.rules
readinessProbe: probes.readiness
replicaCount: replicas
service.targetPort: settings.port
serviceMonitor: monitoring.serviceMonitor
sidecars: extraContainers
startupProbe: probes.startup
strategy: rollout
terminationGracePeriodSeconds: shutdown.gracePeriodS
topologySpreadConstraints: "topologySpread, such as {topology.kubernetes.io/zone: ScheduleAnyway}"
updateStrategy: rollout
volumeMounts: extraVolumeMounts
volumes: extraVolumes, or artifacts.volumes
{{- end }}

{{- define "model-manager.validateNames" -}}
{{- range $foreign, $ours := include "model-manager.hints" . | fromYaml }}
{{- $path := splitList "." $foreign }}
{{- $values := ternary $.Values (get $.Values (first $path)) (eq (len $path) 1) }}
{{- if hasKey $values (last $path) }}
{{- fail (printf "%s: this chart has no such value: set %s" $foreign $ours) }}
{{- end }}
{{- end }}
{{- end }}
