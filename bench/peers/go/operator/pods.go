package main

import (
	"cmp"
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// ofBot enqueues the bot whose label a pod carries: no bot is the pod's direct owner.
var ofBot = handler.EnqueueRequestsFromMapFunc(func(_ context.Context, pod client.Object) []reconcile.Request {
	name, ok := pod.GetLabels()[botLabel]
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: pod.GetNamespace(), Name: name}}}
})

// podsOf returns the unfinished pods that the bot's Deployment created. Anybody may create a pod
// with the bot's labels, so the ReplicaSet that a pod names has to name the Deployment.
func (r *BotReconciler) podsOf(ctx context.Context, deployment *appsv1.Deployment) ([]corev1.Pod, error) {
	pods := &corev1.PodList{}
	selector := client.MatchingLabels(deployment.Spec.Selector.MatchLabels)
	if err := r.List(ctx, pods, client.InNamespace(deployment.Namespace), selector); err != nil {
		return nil, err
	}
	own := make([]corev1.Pod, 0, len(pods.Items))
	for _, pod := range pods.Items {
		owner := metav1.GetControllerOf(&pod)
		if owner == nil || owner.Kind != "ReplicaSet" ||
			pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		set := &metav1.PartialObjectMetadata{}
		set.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
		err := r.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: owner.Name}, set)
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		if err == nil && set.UID == owner.UID && metav1.IsControlledBy(set, deployment) {
			own = append(own, pod)
		}
	}
	slices.SortFunc(own, func(a, b corev1.Pod) int {
		return cmp.Compare(b.CreationTimestamp.Unix(), a.CreationTimestamp.Unix())
	})
	return own, nil
}

// isRunning returns whether the newest pod runs the template as it was declared last.
func isRunning(pods []corev1.Pod, deployment *appsv1.Deployment) bool {
	if len(pods) == 0 {
		return false
	}
	pod := pods[0]
	declared := deployment.Spec.Template.Annotations[restartHash]
	return pod.DeletionTimestamp.IsZero() && pod.Annotations[restartHash] == declared &&
		slices.ContainsFunc(pod.Status.ContainerStatuses, func(container corev1.ContainerStatus) bool {
			return container.Name == "bot" && container.Ready && container.State.Running != nil
		})
}
