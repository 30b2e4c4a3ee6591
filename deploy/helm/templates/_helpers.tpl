{{/* Names. One that stands at its default is replaced by fullnameOverride. */}}
{{- define "kip.name" -}}
{{- $given := .given -}}
{{- if and .root.Values.fullnameOverride (eq $given .default) -}}
{{- $given = .root.Values.fullnameOverride -}}
{{- end -}}
{{- $given -}}
{{- end -}}

{{- define "kip.deployment" -}}
{{- include "kip.name" (dict "root" . "given" .Values.deploymentName "default" "kubernetes-image-puller") -}}
{{- end -}}

{{- define "kip.serviceAccount" -}}
{{- include "kip.name" (dict "root" . "given" .Values.serviceAccount.name "default" "k8s-image-puller") -}}
{{- end -}}

{{- define "kip.configMap" -}}
{{- include "kip.name" (dict "root" . "given" .Values.configMap.name "default" "k8s-image-puller") -}}
{{- end -}}

{{- define "kip.daemonset" -}}
{{- .Values.configMap.daemonsetName | default (include "kip.deployment" .) -}}
{{- end -}}

{{- define "kip.cacheNamespace" -}}
{{- .Values.configMap.namespace | default .Release.Namespace -}}
{{- end -}}

{{/* The Role has upstream's name, that of the ServiceAccount, unless other releases may have the same account. */}}
{{- define "kip.role" -}}
{{- if .Values.serviceAccount.create -}}{{- include "kip.serviceAccount" . -}}{{- else -}}{{- include "kip.deployment" . -}}{{- end -}}
{{- end -}}

{{- define "kip.image" -}}
{{- $repository := required "image.repository: say where you pushed kip's image, for example --set image.repository=registry.example/kip" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "kip.port" -}}
{{- regexFind "[0-9]+$" .Values.http.address -}}
{{- end -}}

{{/* Labels of every object; none of them is in the Deployment's selector, which is upstream's and cannot change. */}}
{{- define "kip.labels" -}}
{{- $own := dict
  "app" (include "kip.deployment" .)
  "app.kubernetes.io/name" "kip"
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" (.Chart.AppVersion | replace "+" "_")
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_")
-}}
{{- toYaml (merge $own .Values.commonLabels) -}}
{{- end -}}

{{/* Metadata of an object: root, name; optional: namespace, labels, annotations. */}}
{{- define "kip.metadata" -}}
metadata:
  name: {{ .name | quote }}
  namespace: {{ .namespace | default .root.Release.Namespace | quote }}
  labels:
    {{- toYaml (mergeOverwrite (include "kip.labels" .root | fromYaml) (.labels | default dict)) | nindent 4 }}
  {{- with mergeOverwrite dict .root.Values.commonAnnotations (.annotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* A number as people write it: helm reads 20971520 as 2.097152e+07. */}}
{{- define "kip.scalar" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{- printf "%.0f" . -}}{{- else -}}{{- toString . -}}{{- end -}}
{{- end -}}

{{/* Text as it is, YAML as JSON. A mapping has no default in values.yaml, as helm warns of a map in the place of a text. */}}
{{- define "kip.json" -}}
{{- if kindIs "invalid" . -}}{}{{- else if kindIs "string" . -}}{{- . -}}{{- else -}}{{- toJson . -}}{{- end -}}
{{- end -}}

{{/* The image list: text as it is, a list as lines. */}}
{{- define "kip.images" -}}
{{- if kindIs "string" . -}}
{{- . -}}
{{- else -}}
{{- $lines := list -}}
{{- range . -}}
{{- if kindIs "string" . -}}{{- $lines = append $lines . -}}
{{- else if .name -}}{{- $lines = append $lines (printf "%s=%s" .name .image) -}}
{{- else -}}{{- $lines = append $lines .image -}}
{{- end -}}
{{- end -}}
{{- join "\n" $lines -}}
{{- end -}}
{{- end -}}

{{/* Names: text as it is, a list (of names or of {name}) with semicolons. */}}
{{- define "kip.names" -}}
{{- if kindIs "string" . -}}
{{- . -}}
{{- else -}}
{{- $names := list -}}
{{- range . -}}
{{- if kindIs "string" . -}}{{- $names = append $names . -}}{{- else -}}{{- $names = append $names .name -}}{{- end -}}
{{- end -}}
{{- join ";" $names -}}
{{- end -}}
{{- end -}}

{{/* Names in whatever form, as a JSON list. */}}
{{- define "kip.nameList" -}}
{{- $names := list -}}
{{- range regexSplit "[;,\\s]+" (include "kip.names" .) -1 -}}{{- if . -}}{{- $names = append $names . -}}{{- end -}}{{- end -}}
{{- toJson (uniq $names) -}}
{{- end -}}

{{/* Entries of the image list, counted as kip does in all but odd cases. */}}
{{- define "kip.countImages" -}}
{{- $count := 0 -}}
{{- range regexSplit "[;,\\n]" (include "kip.images" .) -1 -}}
{{- $entry := trim . -}}
{{- if and $entry (not (hasPrefix "#" $entry)) -}}{{- $count = add1 $count -}}{{- end -}}
{{- end -}}
{{- $count -}}
{{- end -}}

{{/* A quantity in thousandths: of a core, of a byte. Empty where it is none; kip then says so. */}}
{{- define "kip.milli" -}}
{{- $text := include "kip.scalar" . -}}
{{- $factors := dict "m" 1.0 "" 1e3 "k" 1e6 "M" 1e9 "G" 1e12 "T" 1e15 "Ki" 1024e3 "Mi" 1048576e3 "Gi" 1073741824e3 "Ti" 1099511627776e3 -}}
{{- if regexMatch "^([0-9]+\\.?[0-9]*|\\.[0-9]+)([kMGT]i?|Ki|m|)$" $text -}}
{{- $suffix := regexFind "[a-zA-Z]*$" $text -}}
{{- if hasKey $factors $suffix -}}
{{- mulf (printf "0%s" (trimSuffix $suffix $text) | float64) (get $factors $suffix) | printf "%.0f" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The namespaces whose pull jobs are run; none where they are not. */}}
{{- define "kip.pullJobNamespaces" -}}
{{- if .Values.pullJobs.enabled -}}{{- include "kip.names" .Values.pullJobs.namespaces | default .Release.Namespace -}}{{- end -}}
{{- end -}}

{{/* The settings: what the ConfigMap holds. */}}
{{- define "kip.settings" -}}
{{- $it := .Values.configMap -}}
{{- toYaml (dict
  "IMAGES" (include "kip.images" $it.images)
  "CACHING_INTERVAL_HOURS" (include "kip.scalar" $it.cachingIntervalHours)
  "CACHING_MEMORY_REQUEST" (include "kip.scalar" $it.cachingMemoryRequest)
  "CACHING_MEMORY_LIMIT" (include "kip.scalar" $it.cachingMemoryLimit)
  "CACHING_CPU_REQUEST" (include "kip.scalar" $it.cachingCpuRequest)
  "CACHING_CPU_LIMIT" (include "kip.scalar" $it.cachingCpuLimit)
  "DAEMONSET_NAME" (include "kip.daemonset" .)
  "DAEMONSET_ANNOTATIONS" (include "kip.json" $it.daemonsetAnnotations)
  "NAMESPACE" (include "kip.cacheNamespace" .)
  "NODE_SELECTOR" (include "kip.json" $it.nodeSelector)
  "IMAGE_PULL_SECRETS" (include "kip.names" $it.imagePullSecrets)
  "AFFINITY" (include "kip.json" $it.affinity)
  "TOLERATIONS" (include "kip.json" $it.tolerations)
  "KIP_IMAGE" ($it.kipImage | default (include "kip.image" .))
  "IMAGE_PULL_POLICY" $it.imagePullPolicy
  "INSECURE_REGISTRIES" (include "kip.names" $it.insecureRegistries)
  "MAX_SURGE" (include "kip.scalar" $it.maxSurge)
  "REFRESH" $it.refresh
  "PLATFORM" $it.platform
  "READY_WHEN" $it.readyWhen
  "CACHING_PRIORITY_CLASS" $it.cachingPriorityClass
  "PULL_JOB_NAMESPACES" (include "kip.pullJobNamespaces" .)
  "PULL_BUDGET" (include "kip.scalar" .Values.pullJobs.budget)
) -}}
{{- end -}}

{{/* What cannot work is refused before anything is installed. */}}
{{- define "kip.check" -}}
{{- $settings := .Values.configMap -}}
{{- if $settings.create -}}
{{- range $resource := list "Memory" "Cpu" -}}
{{- $request := get $settings (printf "caching%sRequest" $resource) -}}
{{- $limit := get $settings (printf "caching%sLimit" $resource) -}}
{{- $asked := include "kip.milli" $request -}}
{{- $most := include "kip.milli" $limit -}}
{{- if and $asked $most (gt (float64 $most) 0.0) (gt (float64 $asked) (float64 $most)) -}}
{{- fail (printf "configMap.caching%sRequest: %s is more than configMap.caching%sLimit, %s" $resource (include "kip.scalar" $request) $resource (include "kip.scalar" $limit)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.http.address) (or .Values.service.enabled .Values.metrics.serviceMonitor.enabled) -}}
{{- fail "http.address: is empty, but service.enabled or metrics.serviceMonitor.enabled needs it; write \":8080\"" -}}
{{- end -}}
{{- /* Whoever may make the Role has the rights in it, so that this is never refused. */ -}}
{{- if .Values.rbac.create -}}
{{- $found := lookup "apps/v1" "Deployment" .Release.Namespace (include "kip.deployment" .) | default dict -}}
{{- $release := dig "metadata" "annotations" "meta.helm.sh/release-name" .Release.Name $found -}}
{{- if ne $release .Release.Name -}}
{{- fail (printf "deploymentName: %s belongs to the release %s; give this one a name of its own, such as --set fullnameOverride=%s" (include "kip.deployment" .) $release .Release.Name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A binding of the Role of the same name and namespace to the keeper's ServiceAccount. */}}
{{- define "kip.binding" -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
{{ include "kip.metadata" . }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name | quote }}
subjects:
  - kind: ServiceAccount
    name: {{ include "kip.serviceAccount" .root | quote }}
    namespace: {{ .root.Release.Namespace | quote }}
{{- end -}}

{{/* What works, but is probably not meant: a JSON list of sentences. */}}
{{- define "kip.warnings" -}}
{{- $it := .Values.configMap -}}
{{- $all := list -}}
{{- if eq (int .Values.replicas) 0 -}}
{{- $all = append $all "replicas: 0 removes the cache: no image is kept." -}}
{{- end -}}
{{- if and $it.create (contains "quay.io/che-incubator/che-code:next" (include "kip.images" $it.images)) -}}
{{- $all = append $all "configMap.images: this is kubernetes-image-puller's example. Put your own images there." -}}
{{- end -}}
{{- $limit := include "kip.milli" $it.cachingMemoryLimit -}}
{{- if and $it.create $limit (gt (float64 $limit) 0.0) (lt (float64 $limit) 12582912000.0) -}}
{{- $all = append $all (printf "configMap.cachingMemoryLimit: %s is too little for some container runtimes; 20Mi is enough for all." (include "kip.scalar" $it.cachingMemoryLimit)) -}}
{{- end -}}
{{- if and $it.create (ne (include "kip.cacheNamespace" .) .Release.Namespace) -}}
{{- $all = append $all (printf "configMap.namespace: the cache is in another namespace, and no Deployment can own it there. After an uninstall: kubectl -n %s delete daemonset,lease %s" $it.namespace (include "kip.daemonset" .)) -}}
{{- end -}}
{{- if and (not $it.create) .Values.rbac.create -}}
{{- /* Only with watch has the Role a right to the ConfigMap; without it the Deployment's two variables win over the ConfigMap's. */ -}}
{{- if $it.watch -}}
{{- $name := include "kip.configMap" . -}}
{{- $found := lookup "v1" "ConfigMap" .Release.Namespace $name -}}
{{- if not $found -}}
{{- $all = append $all (printf "configMap.name: there is no ConfigMap %s yet; the keeper waits for it, not ready." $name) -}}
{{- end -}}
{{- $cache := list "daemonsetName" "DAEMONSET_NAME" (include "kip.daemonset" .) -}}
{{- $place := list "namespace" "NAMESPACE" (include "kip.cacheNamespace" .) -}}
{{- range list $cache $place -}}
{{- $value := index . 0 -}}{{- $key := index . 1 -}}{{- $ours := index . 2 -}}
{{- /* To kip a blank one is none: the Deployment's counts then. */ -}}
{{- $theirs := dig "data" $key "" ($found | default dict) | trim -}}
{{- if and $theirs (ne $theirs $ours) -}}
{{- $all = append $all (printf "configMap.%s: the ConfigMap %s has %s %s, but the keeper's rights and `helm test` are for %s. Set configMap.%s=%s, or take %s out of the ConfigMap." $value $name $key $theirs $ours $value $theirs $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tolerations $it.create (has (include "kip.json" $it.tolerations) (list "[]" "")) -}}
{{- $all = append $all "tolerations: these are the keeper's own. For tainted nodes to get images, set configMap.tolerations." -}}
{{- end -}}
{{- if and .Values.nodeSelector $it.create (has (include "kip.json" $it.nodeSelector) (list "{}" "")) -}}
{{- $all = append $all "nodeSelector: this is the keeper's own. To cache on some nodes only, set configMap.nodeSelector." -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.enabled (lt (int .Values.replicas) 2) -}}
{{- $all = append $all "podDisruptionBudget.enabled: with less than two replicas it protects nothing." -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.enabled (has (toString .Values.podDisruptionBudget.maxUnavailable) (list "0" "0%")) -}}
{{- $all = append $all "podDisruptionBudget.maxUnavailable: 0 lets no node be drained that runs a keeper." -}}
{{- end -}}
{{- if and (has .Values.image.tag (list "latest" "next")) (not .Values.image.digest) (eq .Values.image.pullPolicy "IfNotPresent") -}}
{{- $all = append $all (printf "image.tag: %s moves, but with image.pullPolicy IfNotPresent a node keeps the image it has. Name a version or a digest." .Values.image.tag) -}}
{{- end -}}
{{- if and (not $it.watch) $it.create -}}
{{- $all = append $all "configMap.watch: an edit by kubectl takes effect only when the keeper is restarted; helm upgrade restarts it." -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.rbac.create) -}}
{{- $all = append $all "replicas: several keepers agree by a Lease; without the right to it all of them act." -}}
{{- end -}}
{{- if and (include "kip.names" $it.imagePullSecrets) (not .Values.rbac.readPullSecrets) $it.create -}}
{{- $all = append $all "configMap.imagePullSecrets: without rbac.readPullSecrets the keeper cannot ask private registries, so that every due refresh of their moving tags is done." -}}
{{- end -}}
{{- if and .Values.pullJobs.enabled .Values.rbac.create -}}
{{- if lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "nodeimages.apps.kruise.io" -}}
{{- $all = append $all "pullJobs.enabled: OpenKruise is installed and runs the pull jobs; kip stands aside." -}}
{{- end -}}
{{- end -}}
{{- if and .Values.pullJobs.enabled (not $it.create) -}}
{{- $all = append $all (printf "pullJobs.enabled: the ConfigMap is yours; write PULL_JOB_NAMESPACES: %s into it." (include "kip.pullJobNamespaces" .)) -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}
